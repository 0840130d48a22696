"""Which of numba's declarations device code has use for."""

from collections.abc import Iterable, Iterator
from typing import Any


def without(overloads: tuple[type, ...], declarations: Iterable[Any]) -> Iterator[Any]:
    """Leave out what numba would compile from Python: what has a template among `overloads`, its own classes."""
    for declared in declarations:
        templates = getattr(declared[1], "templates", ()) if isinstance(declared, tuple) else (declared,)
        if not any(overload in template.__mro__ for template in templates for overload in overloads):
            yield declared
