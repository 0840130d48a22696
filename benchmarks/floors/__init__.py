"""Hand-written code that cubie is measured against: the same sweeps in C++ and CUDA C++, nothing general in them."""
