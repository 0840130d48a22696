"""Launches on a real GPU: small inputs go in one copy, and inputs and results of large batches travel piece by piece,
while other pieces are integrated.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, final

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from cubie._types import Precision
from cubie.targets.base import KernelLayout, address_of
from cubie.targets.cuda_driver import ArgumentBlock, Driver
from cubie.targets.cuda_memory import (
    SMALL_BYTES,
    Arena,
    Constants,
    Piece,
    Slot,
    places_in_place,
    places_of,
    staying_memory,
)
from cubie.targets.device_array import DeviceArray
from cubie.targets.flow import Flow, pieces_of

STREAMS: Final = 4
AHEAD: Final = 3
"""So many pieces are under way before results that are there are looked at."""
PATIENCE: Final = 2e-3
"""Seconds: if a GPU takes longer, the host has time to look at all inputs."""


@final
class DeviceLauncher:
    """A compiled kernel and the memory that its launches share. It must be made while its GPU is current.

    Parameters
    ----------
    kernel : as numba compiled it.
    """

    def __init__(self, kernel: Any, layout: KernelLayout) -> None:
        self._kernel: Final = kernel
        self.driver: Final = Driver()
        self._function: Final = self.driver.function(kernel)
        self._arguments: Final = ArgumentBlock(layout.arguments)
        self._constants: Final = Constants(self.driver)
        self._values: Final = Arena()
        self._results: Final = Arena()
        self._small: Final[NDArray[np.uint8]] = cuda.pinned_array(SMALL_BYTES, np.uint8)
        self._streams: Final = [cuda.stream() for _ in range(STREAMS)]
        self._slots: Final[list[Slot]] = []
        self._origin: Final[Any] = cuda.event()
        self._held: tuple[Any, ...] = ()
        self._last_cut: tuple[Any, list[Piece]] = ((), [])

    @property
    def kept_bytes(self) -> int:
        """Device memory that is kept between launches."""
        return self._values.n_bytes + self._results.n_bytes + self._constants.n_bytes

    @property
    def thread_resources(self) -> tuple[int, int]:
        """Registers that a thread takes, and bytes of local memory."""
        return int(self._kernel.regs_per_thread), int(self._kernel.local_mem_per_thread)

    def launch(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        outputs: Sequence[NDArray[Any]],
        chunks: Sequence[tuple[int, int]],
        block: int,
        shared_bytes: int,
        progress: Callable[[int], None] | None,
        flow: Flow,
    ) -> float:
        """Integrate all runs; return the seconds that kernels took."""
        self._hold(inputs, outputs)
        pieces, busy = self._cut(outputs, chunks), BusyTime()
        address = self._results.address(max(piece.end for piece in pieces))
        sent = self._send(inputs, outputs[0].shape[-1], flow, min(len(pieces), STREAMS))
        under_way: deque[tuple[Slot, Piece]] = deque()
        free = self._slots.copy()
        for piece in pieces:
            while under_way and self._must_finish(under_way, piece):
                slot, there = under_way.popleft()
                busy.add(*self._finish(slot, there, outputs, address, progress, flow))
                free.append(slot)
            slot = free.pop(0) if free else self._new_slot()
            flow.reach(piece.stop)
            self._start(slot, piece, sent, outputs, address, block, shared_bytes, flow)
            under_way.append((slot, piece))
        while under_way:
            busy.add(*self._finish(*under_way.popleft(), outputs, address, progress, flow))
        self._held = ()
        return busy.seconds

    def launch_in_place(
        self,
        inputs: Sequence[NDArray[Any] | int | float],
        shapes: Sequence[tuple[tuple[int, ...], Precision]],
        block: int,
        shared_bytes: int,
        device_id: int,
        flow: Flow,
    ) -> tuple[list[DeviceArray], float]:
        """Integrate all runs into arrays that stay where they are; return these, and the kernel's seconds."""
        self._hold(inputs, ())
        n_runs = shapes[0][0][-1]
        flow.reach(n_runs)
        places, total = places_in_place(shapes)
        memory = staying_memory(device_id, total, self.driver)
        address = memory.block.address
        slot = self._slots[0] if self._slots else self._new_slot()
        sent = self._send(inputs, n_runs, flow, 1)
        taken = [address + place for place in places]
        self._integrate(slot, (0, n_runs), sent, taken, block, shared_bytes, flow)
        while not flow.check():
            pass
        self.driver.wait(slot.last)
        self._held = ()
        arrays = [
            DeviceArray(memory, address + place, shape, precision, device_id)
            for place, (shape, precision) in zip(places, shapes, strict=True)
        ]
        return arrays, self.driver.seconds(slot.first, slot.last)

    def _hold(self, inputs: Sequence[NDArray[Any] | int | float], outputs: Sequence[NDArray[Any]]) -> None:
        """Keep memory that travels until a launch has ended; one that was interrupted is waited for."""
        if self._held:
            for stream in self._streams:
                self.driver.finish(int(stream))
        self._held = (inputs, outputs)

    def _new_slot(self) -> Slot:
        slot = Slot(self._streams[len(self._slots) % STREAMS])
        self._slots.append(slot)
        return slot

    def _cut(self, outputs: Sequence[NDArray[Any]], chunks: Sequence[tuple[int, int]]) -> list[Piece]:
        """Cut a batch into pieces; those of one chunk have memory of their own, and share it with other chunks'."""
        shape = [output.shape for output in outputs], [*chunks]
        if self._last_cut[0] != shape:
            self._last_cut = shape, self._pieces(outputs, chunks)
        return self._last_cut[1]

    @staticmethod
    def _pieces(outputs: Sequence[NDArray[Any]], chunks: Sequence[tuple[int, int]]) -> list[Piece]:
        bytes_per_run = [math.prod(output.shape[:-1]) * output.itemsize for output in outputs]
        starts, begin, pieces = {start for start, _ in chunks}, 0, list[Piece]()
        for start, stop in pieces_of(chunks):
            begin = 0 if start in starts else begin
            places, total = places_of([n_bytes * (stop - start) for n_bytes in bytes_per_run])
            pieces.append(Piece(start, stop, begin, begin + total, places))
            begin += total
        return pieces

    def _must_finish(self, under_way: "deque[tuple[Slot, Piece]]", piece: Piece) -> bool:
        """Tell whether a piece needs memory that another still has, or there is time to look at the oldest one."""
        if any(other.begin < piece.end and piece.begin < other.end for _, other in under_way):
            return True
        slot, oldest = under_way[0]
        return len(under_way) > AHEAD and self.driver.has_been(slot.event_of(oldest))

    def _send(self, inputs: Sequence[NDArray[Any] | int | float], n_runs: int, flow: Flow, n_streams: int) -> "Sent":
        """Copy arrays to the GPU, of the first one what all runs share; arrays come before numbers."""
        arrays = [value for value in inputs if isinstance(value, np.ndarray)]
        stream, values = int(self._streams[0]), arrays[0]
        constants = self._constants.addresses(arrays[1:], stream)
        n_bytes = values.nbytes + sum(row.n_bytes for row in flow.there)
        there, here, place = self._values.address(max(n_bytes, 1)), address_of(values), values.nbytes
        pitch = n_runs * values.itemsize
        travels = values.nbytes > SMALL_BYTES
        if travels:
            rows = flow.n_rows * pitch
            self.driver.send(there + rows, here + rows, values.nbytes - rows, stream)
        else:
            self._small[: values.nbytes] = values.view(np.uint8)
            self.driver.send(there, address_of(self._small), values.nbytes, stream)
        for row in flow.there:
            self.driver.copy(there + place, row.address, row.n_bytes, stream)
            place += row.n_bytes
        sent = int(self._origin.handle)
        self.driver.record(sent, stream)
        for other in self._streams[1:n_streams]:
            self.driver.hold(int(other), sent)
        return Sent([there, *constants, *inputs[len(arrays) :]], there, here, pitch, values.itemsize if travels else 0)

    def _start(
        self,
        slot: Slot,
        piece: Piece,
        sent: "Sent",
        outputs: Sequence[NDArray[Any]],
        address: int,
        block: int,
        shared_bytes: int,
        flow: Flow,
    ) -> None:
        """Set off the copies of one piece's inputs, its kernel, and the copies of its results."""
        memory = slot.small_address if piece.is_small else address + piece.begin
        taken = [memory + place for place in piece.places]
        self._integrate(slot, (piece.start, piece.stop), sent, taken, block, shared_bytes, flow)
        if not piece.is_small:
            for i, (output, place) in enumerate(zip(outputs, piece.places, strict=True)):
                if i != flow.late:
                    self._fetch(slot.stream, output, memory + place, piece.start, piece.stop)
            self.driver.record(slot.done, slot.stream)

    def _integrate(
        self,
        slot: Slot,
        runs: tuple[int, int],
        sent: "Sent",
        taken: list[int],
        block: int,
        shared_bytes: int,
        flow: Flow,
    ) -> None:
        """Set off the kernel for some runs, after the copies of their inputs."""
        start, stop = runs
        if sent.item_bytes and flow.n_rows:
            first, n_bytes = start * sent.item_bytes, (stop - start) * sent.item_bytes
            self.driver.send_columns(
                sent.there + first, sent.here + first, sent.pitch, n_bytes, flow.n_rows, slot.stream
            )
        self._arguments.write((start, stop, start, stop - start, *sent.words, *taken))
        n_blocks, arguments = -(-(stop - start) // block), self._arguments.address
        self.timed(
            slot,
            lambda: self.driver.launch(self._function, n_blocks, block, shared_bytes, slot.stream, arguments),
        )

    def timed(self, slot: Slot, launch: Callable[[], None]) -> None:
        """Launch between two events."""
        self.driver.record(slot.first, slot.stream)
        launch()
        self.driver.record(slot.last, slot.stream)

    def _fetch(self, stream: int, output: NDArray[Any], there: int, start: int, stop: int) -> None:
        """Copy results to a part of every row of an output."""
        n_runs, item = output.shape[-1], output.itemsize
        here = address_of(output) + start * item
        if stop - start == n_runs:
            self.driver.fetch(here, there, output.nbytes, stream)
        else:
            n_rows = output.size // n_runs
            self.driver.fetch_columns(here, n_runs * item, there, (stop - start) * item, n_rows, stream)

    def _finish(
        self,
        slot: Slot,
        piece: Piece,
        outputs: Sequence[NDArray[Any]],
        address: int,
        progress: Callable[[int], None] | None,
        flow: Flow,
    ) -> tuple[float, float]:
        """Wait for one piece's results; return the seconds at which its kernel began and ended."""
        start, stop = piece.start, piece.stop
        self._wait(slot.event_of(piece), flow)
        if piece.is_small:
            for output, place in zip(outputs, piece.places, strict=True):
                n = output.size // output.shape[-1] * (stop - start)
                part = slot.small[place : place + n * output.itemsize].view(output.dtype)
                output[..., start:stop] = part.reshape(*output.shape[:-1], stop - start)
        if flow.landed(start, stop) and not piece.is_small:
            there = address + piece.begin + piece.places[flow.late]
            self._fetch(slot.stream, outputs[flow.late], there, start, stop)
            self.driver.finish(slot.stream)
        if progress is not None:
            progress(stop - start)
        origin = int(self._origin.handle)
        return self.driver.seconds(origin, slot.first), self.driver.seconds(origin, slot.last)

    def _wait(self, event: int, flow: Flow) -> None:
        """Wait for an event; while a GPU works for long, look at what it was given."""
        begin, is_all = time.perf_counter(), False
        while not (is_all or self.driver.has_been(event)):
            if time.perf_counter() - begin > PATIENCE:
                is_all = flow.check()
        self.driver.wait(event)


@final
class BusyTime:
    """How long a device worked on kernels that began one after the other and may have run side by side."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._end = 0.0

    def add(self, begin: float, end: float) -> None:
        """Count what of a kernel lies after the end of all before it."""
        self.seconds += max(0.0, end - max(begin, self._end))
        self._end = max(self._end, end)


class Sent(NamedTuple):
    """Inputs on the GPU: the kernel's arguments; where rows of a number for each run belong there, and stand here, how
    far apart they are, and their numbers' size, 0 if they are there.
    """

    words: list[Any]
    there: int
    here: int
    pitch: int
    item_bytes: int
