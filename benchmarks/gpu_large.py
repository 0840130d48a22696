"""Larger systems on a GPU, and the time around small batches: Lorenz 96 of 20, 32 and 64 states, and 8 runs of Lorenz.

CuBIE 0.17 was measured on an NVIDIA H200 with the same sweep; where the device is another, its figures are no peers.
"""

from collections.abc import Mapping
from typing import Final

from benchmarks.cubie_peer import HEADERS, SOLVES, Known, beside_cubie
from benchmarks.floors.systems import LORENZ_96_NOTE, lorenz96
from benchmarks.harness import Json, Table, common, finish, machine, parser
from benchmarks.sweeps import Sweep, overhead, spaced
from cubie.targets.devices import find_device

N_RUNS: Final = 131_072
GOAL: Final = 1.3
PEERS: Final[Mapping[int, Known]] = {
    20: Known(cold=3.3, warm=17.9, kernel=0.54),
    32: Known(cold=4.3, warm=27.0, kernel=0.85),
    64: Known(cold=7.3, warm=58.1, kernel=4.21),
}


def main() -> None:
    made = parser(__doc__, device="cuda")
    made.add_argument("--runs", type=int, default=N_RUNS, help=f"runs of Lorenz 96 (default: {N_RUNS})")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    device = find_device(options.device)
    results = [
        beside_cubie(sweep(n, arguments.runs, device.name), known, options.repeats) for n, known in PEERS.items()
    ]
    milliseconds, around = overhead(device.name)
    notes = (
        f"F from 4 to 12, t from 0 to 2, on {device.description} (CuBIE's on an NVIDIA H200); medians of "
        f"{options.repeats * SOLVES}. Goal: gains of {GOAL}. {around} {LORENZ_96_NOTE}"
    )
    table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
    figures: Json = {"rows": [row for _, row in results], "overhead": milliseconds}
    finish("gpu_large", table, notes, figures, where, save=options.save)


def sweep(n: int, n_runs: int, device: str) -> Sweep:
    """Return Lorenz 96 with `n` states."""
    return Sweep(
        title="Lorenz 96",
        system=lorenz96(n),
        parameter="F",
        values=spaced(4.0, 12.0, n_runs, "float32"),
        t_span=(0.0, 2.0),
        rtol=1e-5,
        atol=1e-6,
        precision="float32",
        device=device,
    )


if __name__ == "__main__":
    main()
