"""Integrate huge batches of ODE systems on CUDA GPUs and on every core of a CPU."""
