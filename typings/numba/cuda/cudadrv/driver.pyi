from typing import NamedTuple

class MemoryInfo(NamedTuple):
    free: int
    total: int

class Context:
    def get_memory_info(self) -> MemoryInfo: ...

class Event:
    def record(self, stream: int = 0) -> None: ...
    def synchronize(self) -> None: ...

def event_elapsed_time(evtstart: Event, evtend: Event) -> float: ...
