"""Python functions as models: run once with symbols in place of numbers, what they compute is written down."""
