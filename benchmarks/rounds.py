"""Several things measured in turn, round after round: on a shared machine only ratios within a round mean much."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, final

SampleT = TypeVar("SampleT")
TENTH: Final = 10


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One thing done once: seconds by the clock, those of all threads together, those of the integration alone, and the
    steps that were done.
    """

    wall: float
    processor: float
    kernel: float
    n_steps: int

    @property
    def rate(self) -> float:
        """Steps a second, by the clock."""
        return self.n_steps / self.wall

    @property
    def processor_per_step(self) -> float:
        """Seconds of a thread for one step; other programs' work hardly counts in it."""
        return self.processor / self.n_steps


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A quantity over the rounds: its median, and between which values eight of ten rounds lie."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """Return ``median (low-high)``."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds(Generic[SampleT]):
    """What was measured of each thing in each round."""

    samples: Mapping[str, tuple[SampleT, ...]]

    def of(self, name: str, quantity: Callable[[SampleT], float]) -> Spread:
        """Return a quantity of one thing."""
        return spread([quantity(sample) for sample in self.samples[name]])

    def ratio(self, name: str, to: str, quantity: Callable[[SampleT], float]) -> Spread:
        """Return how many times that of `to` a quantity is, round by round."""
        pairs = zip(self.samples[name], self.samples[to], strict=True)
        return spread([quantity(a) / quantity(b) for a, b in pairs])


def spread(values: Sequence[float]) -> Spread:
    """Sum up several rounds."""
    ordered = sorted(values)
    cut = len(ordered) // TENTH
    return Spread(median=statistics.median(ordered), low=ordered[cut], high=ordered[-1 - cut])


def in_turn(things: Mapping[str, Callable[[], SampleT]], n_rounds: int) -> Rounds[SampleT]:
    """Measure a, b, c, then c, b, a, and so on, after one round that doesn't count."""
    samples: dict[str, list[SampleT]] = {name: [] for name in things}
    for number in range(n_rounds + 1):
        for name in sorted(things, reverse=number % 2 == 0):
            sample = things[name]()
            if number > 0:
                samples[name].append(sample)
    return Rounds(samples={name: tuple(each) for name, each in samples.items()})


def timed(work: Callable[[], int]) -> Callable[[], Sample]:
    """Return what does the work, which answers the number of its steps, and measures it."""

    def measure() -> Sample:
        begin, processor = time.perf_counter(), time.process_time()
        n_steps = work()
        wall = time.perf_counter() - begin
        return Sample(wall=wall, processor=time.process_time() - processor, kernel=wall, n_steps=n_steps)

    return measure


def uncounted(work: Callable[[], object]) -> Callable[[], Sample]:
    """Return what measures work of which nobody counts the steps."""

    def no_steps() -> int:
        work()
        return 0

    return timed(no_steps)


def wall(sample: Sample) -> float:
    """The seconds by the clock."""
    return sample.wall


def kernel(sample: Sample) -> float:
    """The seconds of the integration alone."""
    return sample.kernel
