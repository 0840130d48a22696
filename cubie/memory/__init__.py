"""How much memory there is, and how to stay within it."""
