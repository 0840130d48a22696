from llvmlite import ir

def alloca_once(
    builder: ir.IRBuilder, ty: ir.Type, size: ir.Value | int | None = None, name: str = "", zfill: bool = False
) -> ir.AllocaInstr: ...
