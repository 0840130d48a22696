"""What lanes are worth: many runs side by side in a core's vector registers, against one run at a time.

A second table is a batch of which one run in a hundred takes a hundred times the steps, shuffled, against an even batch
of as many steps. Ratios are medians over rounds in which everything has its turn, with the values between which eight
of ten rounds lie; they compare the processor time of all threads for a step, which other programs change least. Steps a
second, attempted ones, are by the clock.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.floors.cpu_library import METHODS, Precision
from benchmarks.floors.systems import LORENZ_96_NOTE, hodgkin_huxley, lorenz96, oscillator
from benchmarks.harness import ROW_HEADERS, Json, Options, Table, common, finish, machine, parser
from benchmarks.lorenz import BATCH_ATOL, LORENZ
from benchmarks.rounds import in_turn
from benchmarks.sweeps import PRECISIONS, Sweep, WarmSweep, figures_of, lorenz_by, millions, slowness, spaced
from cubie.batchsolving.arrays import FloatArray
from cubie.odesystems.ode_system import ODESystem

GOALS: Final[Mapping[Precision, float]] = {"float32": 12.0, "float64": 8.0}
TAIL_GOAL: Final = 0.7
ONE_IN: Final = 100
SLOWNESS: Final = 100.0
ONE_AT_A_TIME_EVERY: Final = 8
"""One run at a time solves one value of so many, or rounds would take too long."""
HEADERS: Final = (*ROW_HEADERS, "lanes", "Msteps/s", "one at a time", "gain", "goal")
TAIL_HEADERS: Final = (
    *ROW_HEADERS,
    "lanes",
    "steps/run",
    "steps/run, even",
    "Msteps/s",
    "Msteps/s, even",
    "share of even's, by the clock",
    "by processor time",
    "goal",
)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--scale", type=float, default=1.0, help="how many runs, in units of 65,536 (default: 1)")
    made.add_argument("--only", default="", help="part of 'PROBLEM STATES, METHOD, PRECISION' or 'tail' (all)")
    arguments = made.parse_args()
    options, where = common(arguments, only="cpu"), machine()
    sweeps = [lorenz_by(method, precision, arguments.scale) for precision in PRECISIONS for method in METHODS]
    sweeps += [sweep for precision in PRECISIONS for sweep in other_sweeps(precision, arguments.scale)]
    results = [
        lanes_row(sweep, options.repeats)
        for sweep in sweeps
        if arguments.only in f"{sweep.title} {sweep.system.n_states}, {sweep.kind}, {sweep.precision}"
    ]
    notes = (
        "Millions of attempted steps a second, all threads; one at a time: one run in "
        f"{ONE_AT_A_TIME_EVERY}. Gain: processor time of a step, one run at a time, over that in lanes. "
        f"{options.repeats} rounds. {LORENZ_96_NOTE}"
    )
    if results:
        table = Table(headers=HEADERS, rows=tuple(cells for cells, _ in results))
        finish("cpu_lanes", table, notes, [figures for _, figures in results], where, save=options.save)
    if arguments.only in "tail":
        report_tail(arguments.scale, options, where)


def report_tail(scale: float, options: Options, where: Mapping[str, Json]) -> None:
    """Measure and show the second table."""
    tails = [tail_row(precision, scale, options.repeats) for precision in PRECISIONS]
    tail_notes = (
        f"Oscillators of frequency 1, and one in {ONE_IN} of frequency {SLOWNESS:g}, shuffled, t to 10; the even batch "
        f"has their mean frequency. Tsit5, adaptive. {options.repeats} rounds."
    )
    tail_table = Table(headers=TAIL_HEADERS, rows=tuple(cells for cells, _ in tails))
    finish("cpu_tail", tail_table, tail_notes, [figures for _, figures in tails], where, save=options.save)


def other_sweeps(precision: Precision, scale: float) -> Iterator[Sweep]:
    """Yield the sweeps of systems that are full of exponentials, or large."""
    n_runs = int(scale * 16_384)
    squid = hodgkin_huxley()
    yield sweep_of("Hodgkin-Huxley", squid, "current", spaced(0.0, 20.0, n_runs, precision), 20.0)
    for n, every in ((32, 1), (128, 4)):
        yield sweep_of("Lorenz 96", lorenz96(n), "F", spaced(4.0, 12.0, n_runs // every, precision), 2.0)


def sweep_of(title: str, system: ODESystem, parameter: str, values: FloatArray, t_end: float) -> Sweep:
    """Return a sweep by tsit5, adaptive, in the precision of the values."""
    precision: Precision = "float32" if values.dtype == np.float32 else "float64"
    return Sweep(
        title=title,
        system=system,
        parameter=parameter,
        values=values,
        t_span=(0.0, t_end),
        precision=precision,
        atol=BATCH_ATOL[precision],
    )


def lanes_row(sweep: Sweep, n_rounds: int) -> tuple[tuple[str, ...], Json]:
    """Measure cubie with its own choice of lanes, and one run at a time."""
    wide = WarmSweep(sweep)
    narrow = WarmSweep(replace(sweep, values=sweep.values[::ONE_AT_A_TIME_EVERY], lanes=1))
    rounds = in_turn({"lanes": wide.measure, "one": narrow.measure}, n_rounds)
    gain, row = slowness(rounds, "one", "lanes"), wide.row(rounds.samples["lanes"])
    goal = GOALS[sweep.precision] if sweep.system is LORENZ else 1.0
    rates = (millions(rounds, "lanes"), millions(rounds, "one"))
    return (*row.cells(), str(wide.solver.lanes), *rates, gain.text(1), f"{goal:g}"), figures_of(rounds, row)


def tail_row(precision: Precision, scale: float, n_rounds: int) -> tuple[tuple[str, ...], Json]:
    """Measure a batch of which one run in a hundred takes a hundred times the steps, and an even one."""
    n_runs = int(scale * 262_144)
    heavy = np.where(np.arange(n_runs) % ONE_IN == 0, SLOWNESS, 1.0).astype(precision)
    np.random.default_rng(1).shuffle(heavy)
    tail = WarmSweep(sweep_of("Oscillators", oscillator(), "omega", heavy, 10.0))
    even = WarmSweep(replace(tail.sweep, values=np.full_like(heavy, heavy.mean(dtype=np.float64))))
    rounds = in_turn({"tail": tail.measure, "even": even.measure}, n_rounds)
    by_clock = rounds.ratio("tail", "even", lambda sample: sample.rate)
    row = tail.row(rounds.samples["tail"])
    cells = (
        *row.cells(),
        str(tail.solver.lanes),
        *(f"{rounds.samples[name][0].n_steps / n_runs:.1f}" for name in rounds.samples),
        *(millions(rounds, name) for name in rounds.samples),
        by_clock.text(),
        slowness(rounds, "even", "tail").text(),
        f"{TAIL_GOAL:g}",
    )
    return cells, figures_of(rounds, row)


if __name__ == "__main__":
    main()
