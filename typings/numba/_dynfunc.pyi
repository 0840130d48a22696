from types import BuiltinFunctionType

def make_function(
    module: object, name: str, doc: str, fnaddr: int, env: object, keepalive: tuple[object, ...], /
) -> BuiltinFunctionType: ...
