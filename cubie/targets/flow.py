"""What a launch asks of the host while inputs and results of a large batch are on their way, and how it is cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, final

if TYPE_CHECKING:
    from cubie.targets.device_array import DeviceArray

ALIGNMENT: Final = 256
LEAST_PIECE: Final = 1 << 16
MOST_PIECE: Final = 1 << 19


class Flow(Protocol):
    """The host's part of a launch."""

    @property
    def n_rows(self) -> int:
        """How many rows of one number for each run the kernel's first input starts with."""

    @property
    def there(self) -> "Sequence[DeviceArray]":
        """More rows, which stand on the device: they belong after the first input."""

    @property
    def late(self) -> int:
        """Which output is fetched only of the pieces that ask for it."""

    def reach(self, stop: int, /) -> None:
        """Wait until these rows are written for all runs before `stop`."""

    def landed(self, start: int, stop: int, /) -> bool:
        """Look at the results of some runs, which are there; tell whether their late output is wanted.

        Raises
        ------
        ValueError: if their inputs were not finite.
        """

    def check(self) -> bool:
        """Look at some more inputs, for which there is time while a device is busy; tell whether that was all.

        Raises
        ------
        ValueError: if some are not finite.
        """


@final
class Still:
    """All inputs stand as they are, and nobody looks at results."""

    n_rows: Final = 0
    there: "Final[Sequence[DeviceArray]]" = ()
    late: Final = -1

    def reach(self, stop: int, /) -> None:
        """They stand."""

    def landed(self, start: int, stop: int, /) -> bool:
        """Nothing is late."""
        return False

    def check(self) -> bool:
        """They are as they are."""
        return True


STILL: Final = Still()


def aligned(n: int) -> int:
    """Return the next multiple of the distance at which arrays, and pieces, start."""
    return -(-n // ALIGNMENT) * ALIGNMENT


def pieces_of(chunks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut chunks of runs into pieces, whose inputs and results travel while others are integrated.

    The first is small, so that the link has soon something to do, and each twice as large as the one before it, but
    never more than half of what is left, so that little remains to be done when the last is there. Where there are
    several chunks, each has two pieces at least.
    """
    pieces: list[tuple[int, int]] = []
    for start, stop in chunks:
        size = LEAST_PIECE
        least = 2 * size if len(chunks) == 1 or stop - start >= 2 * size else (stop - start) // 2 + 1
        while stop - start >= least:
            taken = min(size, aligned(-(-(stop - start) // 2)), stop - start)
            pieces.append((start, start + taken))
            start, size = start + taken, min(2 * size, MOST_PIECE)
        if start < stop:
            pieces.append((start, stop))
    return pieces
