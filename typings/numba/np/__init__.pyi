from numba.np import arrayobj as arrayobj
