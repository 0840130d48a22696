"""Saves: one row of states and observables, written to the batch's output at the run's place."""

from dataclasses import dataclass
from typing import Protocol, TypedDict, final

import numpy as np
from typing_extensions import Unpack, override

from cubie._types import Count, FloatPrecision, GlobalReals, Mask, PersistentBank, Real, SharedBank, Vector
from cubie.buffer_registry import BufferEntry
from cubie.cuda_factory import CUDAFactory, buffer
from cubie.odesystems.rate_function import ObservablesFunction
from cubie.targets.unroll import static


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """What shapes the code of a save: `saved` holds indices into the states and then the observables."""

    n_states: int
    n_observables: int
    saved: tuple[int, ...]
    precision: FloatPrecision

    @property
    def saves_observables(self) -> bool:
        """At least one observable is saved."""
        return any(index >= self.n_states for index in self.saved)


class OutputChanges(TypedDict, total=False):
    """Settings of a save that can be changed."""

    n_states: int
    n_observables: int
    saved: tuple[int, ...]
    precision: FloatPrecision


class StoreRowFn(Protocol):
    """Store row `row` of the runs of `mask`: the saved variables at (t, y), or NaN where not `valid`.

    `saved` has shape (n_saves, n_saved, n_slots) with runs fastest.
    """

    def __call__(
        self,
        t: Real,
        y: Vector,
        parameters: Vector,
        drivers: Vector,
        row: Count,
        slot: Count,
        n_slots: int,
        valid: Mask,
        mask: Mask,
        saved: GlobalReals,
        shared: SharedBank,
        persistent: PersistentBank,
    ) -> None: ...


@final
class OutputFunctions(CUDAFactory[OutputSettings, StoreRowFn]):
    """Stores the saved variables of a run."""

    def __init__(self, settings: OutputSettings, observables: ObservablesFunction) -> None:
        super().__init__(settings, target=observables.target)
        self.observables = self.adopt("observables", observables)

    def update(self, **changes: Unpack[OutputChanges]) -> None:
        """Replace some settings."""
        self._update(changes)

    @staticmethod
    @override
    def buffers(settings: OutputSettings) -> tuple[BufferEntry, ...]:
        """The observables of one time, where any is saved."""
        return (buffer("observables_out", settings.n_observables * settings.saves_observables, settings.precision),)

    @override
    def build(self) -> StoreRowFn:
        n_states, saved_indices, n_saved = self.settings.n_states, self.settings.saved, len(self.settings.saved)
        saves_observables, nan = self.settings.saves_observables, self.settings.precision(np.nan)
        observe, allocate_observables = self.observables.device_function, self.allocator("observables_out")
        select, store_at = self.target.select, self.target.store_at

        @self.target.device
        def store_row(
            t: Real,
            y: Vector,
            parameters: Vector,
            drivers: Vector,
            row: Count,
            slot: Count,
            n_slots: int,
            valid: Mask,
            mask: Mask,
            saved: GlobalReals,
            shared: SharedBank,
            persistent: PersistentBank,
        ) -> None:
            observed = allocate_observables(shared, persistent)
            if saves_observables:
                observe(t, y, parameters, drivers, observed)
            for i in static(range(n_saved)):
                if saved_indices[i] < n_states:
                    value = y[saved_indices[i]]
                else:
                    value = observed[saved_indices[i] - n_states]
                store_at(saved, (row * n_saved + i) * n_slots + slot, select(valid, value, nan), mask)

        return store_row
