from numba.extending import intrinsic as intrinsic
