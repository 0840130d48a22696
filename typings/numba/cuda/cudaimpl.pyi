from numba.cuda.core.imputils import Registry

registry: Registry
