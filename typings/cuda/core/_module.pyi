class ObjectCode:
    @property
    def code(self) -> bytes: ...
    @staticmethod
    def from_ptx(
        module: bytes | str, *, name: str = "", symbol_mapping: dict[str, str] | None = None
    ) -> ObjectCode: ...
    @staticmethod
    def from_cubin(
        module: bytes | str, *, name: str = "", symbol_mapping: dict[str, str] | None = None
    ) -> ObjectCode: ...
