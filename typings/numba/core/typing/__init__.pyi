from numba.core.typing.templates import Signature as Signature
