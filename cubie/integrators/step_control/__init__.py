"""How long the next step is."""
