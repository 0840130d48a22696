"""What lanes are worth: many runs side by side in a core's vector registers, against one run at a time.

A second table is a batch of which one run in a hundred takes a hundred times the steps, shuffled, against an even batch
of as many steps. Ratios are medians over rounds in which everything has its turn, with the values between which eight
of ten rounds lie; they compare the processor time of all threads for a step, which other programs change least. Steps a
second, attempted ones, are by the clock.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from benchmarks.floors.cpu_library import METHODS, Precision
from benchmarks.floors.rounds import in_turn
from benchmarks.floors.sweeps import PRECISIONS, Sweep, figures_of, lorenz, millions, slowness
from benchmarks.floors.systems import hodgkin_huxley, lorenz96, oscillator
from benchmarks.harness import Json, Options, Table, common, finish, machine, parser
from benchmarks.lorenz import LORENZ

GOALS: Final[Mapping[Precision, float]] = {"float32": 12.0, "float64": 8.0}
TAIL_GOAL: Final = 0.7
ONE_IN: Final = 100
SLOWNESS: Final = 100.0
ONE_AT_A_TIME_EVERY: Final = 8
"""One run at a time solves one value of so many, or rounds would take too long."""
HEADERS: Final = ("system", "method", "precision", "lanes", "Msteps/s", "one at a time", "gain", "goal")
TAIL_HEADERS: Final = (
    "precision",
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
    made.add_argument("--only", default="", help="part of 'SYSTEM, METHOD, PRECISION' or of 'tail' (default: all)")
    arguments = made.parse_args()
    options, where = common(arguments), machine()
    sweeps = [lorenz(method, precision, arguments.scale) for precision in PRECISIONS for method in METHODS]
    sweeps += [sweep for precision in PRECISIONS for sweep in other_sweeps(precision, arguments.scale)]
    results = [
        lanes_row(sweep, options.repeats)
        for sweep in sweeps
        if arguments.only in f"{sweep.title}, {sweep.kind}, {sweep.precision}"
    ]
    notes = (
        f"Millions of attempted steps a second, all threads; adaptive at rtol 1e-6, atol 1e-9 (1e-6 in float32). "
        f"Gain: processor time of a step, one run at a time, over that in lanes. {options.repeats} rounds."
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
    current, forcing = np.linspace(0.0, 20.0, int(scale * 16_384)), np.linspace(4.0, 12.0, int(scale * 16_384))
    squid = hodgkin_huxley()
    yield Sweep(
        title="Hodgkin-Huxley", system=squid, parameter="current", values=current, t_end=20.0, precision=precision
    )
    for n, every in ((32, 1), (128, 4)):
        system = lorenz96(n)
        yield Sweep(
            title=f"Lorenz 96, {n} states",
            system=system,
            parameter="F",
            values=forcing[::every],
            t_end=2.0,
            precision=precision,
        )


def lanes_row(sweep: Sweep, n_rounds: int) -> tuple[tuple[str, ...], Json]:
    """Measure cubie with its own choice of lanes, and one run at a time."""
    wide, narrow = sweep.solver(), sweep.solver(lanes=1)
    things = {"lanes": sweep.measure(wide), "one": sweep.measure(narrow, ONE_AT_A_TIME_EVERY)}
    rounds = in_turn(things, n_rounds)
    gain = slowness(rounds, "one", "lanes")
    goal = GOALS[sweep.precision] if sweep.system is LORENZ else 1.0
    cells = (
        sweep.title,
        sweep.kind,
        sweep.precision,
        str(wide.lanes),
        millions(rounds, "lanes"),
        millions(rounds, "one"),
        gain.text(1),
        f"{goal:g}",
    )
    return cells, {"task": f"{sweep.title}, {sweep.kind}, {sweep.precision}", "rounds": figures_of(rounds)}


def tail_row(precision: Precision, scale: float, n_rounds: int) -> tuple[tuple[str, ...], Json]:
    """Measure a batch of which one run in a hundred takes a hundred times the steps, and an even one."""
    n_runs = int(scale * 262_144)
    heavy = np.where(np.arange(n_runs) % ONE_IN == 0, SLOWNESS, 1.0)
    np.random.default_rng(1).shuffle(heavy)
    batches = {"tail": heavy, "even": np.full(n_runs, heavy.mean())}
    system = oscillator()
    sweeps = {
        name: Sweep(title=name, system=system, parameter="omega", values=values, t_end=10.0, precision=precision)
        for name, values in batches.items()
    }
    solver = sweeps["tail"].solver()
    rounds = in_turn({name: sweep.measure(solver) for name, sweep in sweeps.items()}, n_rounds)
    by_clock = rounds.ratio("tail", "even", lambda sample: sample.rate)
    cells = (
        precision,
        str(solver.lanes),
        *(f"{rounds.samples[name][0].n_steps / n_runs:.1f}" for name in sweeps),
        *(millions(rounds, name) for name in sweeps),
        by_clock.text(),
        slowness(rounds, "even", "tail").text(),
        f"{TAIL_GOAL:g}",
    )
    return cells, {"task": precision, "rounds": figures_of(rounds)}


if __name__ == "__main__":
    main()
