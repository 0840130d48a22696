"""Whole batches: inputs of every run, kernels over all of them, and their results."""
