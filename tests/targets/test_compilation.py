"""What surrounds a compilation is as before once it is over."""

import gc

import pytest

from cubie.targets.compilation import uncollected, without


def test_garbage_is_collected_again_after_a_compilation_that_failed() -> None:
    with pytest.raises(ValueError, match="of the model"), uncollected():
        assert not gc.isenabled()
        raise ValueError("of the model")
    assert gc.isenabled()


def test_garbage_is_left_alone_where_nobody_collected_it() -> None:
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_declarations_that_would_be_compiled_from_python_are_left_out() -> None:
    class Overload: ...

    class Compiled(Overload): ...

    class Known: ...

    class Function:
        def __init__(self, *templates: type) -> None:
            self.templates = templates

    declared = [Known, Compiled, (len, Function(Known)), (abs, Function(Known, Compiled)), (max, object())]
    left = list(without((Overload,), declared))
    assert left == [declared[0], declared[2], declared[4]]
