"""The rooms that know a compiler: the only ones that import numba or llvmlite."""
