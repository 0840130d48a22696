from numba.cuda.core.ir import FunctionIR

class Lower:
    func_ir: FunctionIR
    def _find_singly_assigned_variable(self) -> None: ...

class CUDALower(Lower): ...
