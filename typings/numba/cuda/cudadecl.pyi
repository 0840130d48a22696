from numba.cuda.typing.templates import Registry

registry: Registry
