from collections.abc import Iterator

class Var:
    name: str

class Assign:
    target: Var

class Block:
    def find_insts(self, cls: tuple[type[Assign], ...] | None = None) -> Iterator[Assign]: ...

class FunctionIR:
    blocks: dict[int, Block]

assign_types: tuple[type[Assign], ...]
