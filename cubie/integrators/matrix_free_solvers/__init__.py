"""Solvers of the equations that implicit methods pose in every step."""
