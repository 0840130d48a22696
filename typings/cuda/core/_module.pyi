class ObjectCode:
    @staticmethod
    def from_ptx(
        module: bytes | str, *, name: str = "", symbol_mapping: dict[str, str] | None = None
    ) -> ObjectCode: ...
