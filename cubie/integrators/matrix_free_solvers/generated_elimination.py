"""An elimination as device functions of a target."""

from collections.abc import Sequence
from typing import Protocol

from cubie._types import FloatPrecision, Mask, Real, Vector
from cubie.integrators.matrix_free_solvers.elimination import Elimination
from cubie.odesystems.symbolic.emit import DeviceSource, emit
from cubie.targets.base import Target


class GeneratedFactorFn(Protocol):
    """Write the factors of ``M - scale*J`` to `out`; answer where they are sound."""

    def __call__(self, jacobian: Vector, scale: Real, out: Vector) -> Mask: ...


class GeneratedSolveFn(Protocol):
    """Overwrite `vector` by the solution."""

    def __call__(self, factors: Vector, vector: Vector) -> None: ...


class GeneratedPairFactorFn(Protocol):
    """Write the factors of ``M - (scale + i*imaginary_scale)*J`` to `out`; answer where they are sound."""

    def __call__(self, jacobian: Vector, scale: Real, imaginary_scale: Real, out: Vector) -> Mask: ...


class GeneratedPairSolveFn(Protocol):
    """Overwrite `vector` and `imaginary` by the solution's parts."""

    def __call__(self, factors: Vector, vector: Vector, imaginary: Vector) -> None: ...


def real_elimination(
    target: Target, generated: Elimination, precision: FloatPrecision
) -> tuple[GeneratedFactorFn, GeneratedSolveFn]:
    """Build both parts of a real elimination."""
    source = _factor_source("factor", generated, precision, "jacobian, scale, out")
    factor: GeneratedFactorFn = target.from_source(source.name, source.text, source.constants, precision)
    source = _solve_source("solve", generated, precision, ("vector",))
    solve: GeneratedSolveFn = target.from_source(source.name, source.text, source.constants, precision)
    return factor, solve


def complex_elimination(
    target: Target, generated: Elimination, precision: FloatPrecision
) -> tuple[GeneratedPairFactorFn, GeneratedPairSolveFn]:
    """Build both parts of a complex elimination."""
    source = _factor_source("pair_factor", generated, precision, "jacobian, scale, imaginary_scale, out")
    factor: GeneratedPairFactorFn = target.from_source(source.name, source.text, source.constants, precision)
    source = _solve_source("pair_solve", generated, precision, ("vector", "imaginary"))
    solve: GeneratedPairSolveFn = target.from_source(source.name, source.text, source.constants, precision)
    return factor, solve


def _factor_source(name: str, generated: Elimination, precision: FloatPrecision, arguments: str) -> DeviceSource:
    places = [*(f"out[{i}] =" for i in range(generated.n_kept)), "return"]
    return emit(name, generated.factor, precision, arguments=arguments, places=places)


def _solve_source(name: str, generated: Elimination, precision: FloatPrecision, parts: Sequence[str]) -> DeviceSource:
    """Solve in place, which may overwrite what is still to be read."""
    return emit(
        name,
        generated.solve,
        precision,
        arguments=", ".join(("factors", *parts)),
        places=[f"{parts[part]}[{place}] =" for part, place in generated.places],
        loads_first=not generated.is_in_place,
    )
