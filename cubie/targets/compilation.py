"""What compilations for both kinds of processors share."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def without(overloads: tuple[type, ...], declarations: Iterable[Any]) -> Iterator[Any]:
    """Leave out what numba would compile from Python: what has a template among `overloads`, its own classes."""
    for declared in declarations:
        templates = getattr(declared[1], "templates", ()) if isinstance(declared, tuple) else (declared,)
        if not any(overload in template.__mro__ for template in templates for overload in overloads):
            yield declared


def middle_passes(untyped: Any, typed: Any) -> tuple[Any, ...]:
    """Return numba's passes, out of its two modules, between translating bytecode and lowering: those that the dialect
    needs.
    """
    return (
        untyped.FixupArgs,
        untyped.IRProcessing,
        untyped.InlineInlinables,
        untyped.DeadBranchPrune,
        untyped.GenericRewrites,
        untyped.ReconstructSSA,
        typed.NopythonTypeInference,
        typed.PreLowerStripPhis,
        typed.IRLegalization,
    )


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cycles meanwhile: a compilation makes a million objects that live until its end."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
