from abc import ABC
from collections.abc import Iterator

class _OverloadFunctionTemplate(ABC): ...
class _OverloadAttributeTemplate: ...

class Registry:
    functions: list[object]
    attributes: list[object]
    globals: list[tuple[object, object]]

class RegistryLoader:
    registry_items: tuple[str, ...]
    def __init__(self, registry: Registry) -> None: ...
    def new_registrations(self, name: str) -> Iterator[object]: ...
