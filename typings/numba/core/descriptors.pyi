from abc import ABCMeta, abstractmethod

class TargetDescriptor(metaclass=ABCMeta):
    def __init__(self, target_name: str) -> None: ...
    @property
    @abstractmethod
    def typing_context(self) -> object: ...
    @property
    @abstractmethod
    def target_context(self) -> object: ...
