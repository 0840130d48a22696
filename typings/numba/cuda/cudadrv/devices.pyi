from collections.abc import Iterator
from types import TracebackType

class _DeviceContextManager:
    id: int
    name: bytes | str
    compute_capability: tuple[int, int]
    def __enter__(self) -> None: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...

class _DeviceList:
    def __getitem__(self, devnum: int) -> _DeviceContextManager: ...
    def __iter__(self) -> Iterator[_DeviceContextManager]: ...
    def __len__(self) -> int: ...

gpus: _DeviceList
