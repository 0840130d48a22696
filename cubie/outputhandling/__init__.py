"""What is stored of a run, and where."""
