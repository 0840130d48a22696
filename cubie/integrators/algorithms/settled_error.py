r"""Error estimates of steps that are tried again, without what a step damps and its estimate doesn't.

Where y is off the slow solution of a stiff problem, or off a constraint, by more than the tolerances now allow, an
L-stable method has that gone at the end of the step. Estimates whose limit at infinity is not 0 contain it in full,
however short the step; no step would pass. Filtered once more, ``inv(M - gamma*dt*J) @ M @ error``, they are of the
size of what is left of it; RADAU5 evaluates f for that, to which this is its linear part. What shrinks with dt has
been answered by the shorter step already.

References
----------
Hairer & Wanner (1996), Solving ODEs II, Sec. IV.8, eq. 8.20.
"""

from cubie._types import AllocateFn, Mask, PersistentBank, SharedBank, Vector
from cubie.integrators.algorithms.base_algorithm_step import SettleFn
from cubie.integrators.algorithms.dense_check import FilterFn
from cubie.integrators.matrix_free_solvers.mass_product import WeighFn
from cubie.targets.base import Target
from cubie.targets.unroll import nothing


def make_settle(
    target: Target, n_states: int, allocate_scratch: AllocateFn, filtered: FilterFn, weigh: WeighFn | None
) -> SettleFn:
    """Build the second filter; the scratch has at least `n_states` elements."""
    n, select, weighed = n_states, target.select, weigh or nothing

    @target.device
    def settle(mask: Mask, error: Vector, shared: SharedBank, persistent: PersistentBank) -> None:
        scratch = allocate_scratch(shared, persistent)
        settled = scratch[0:n]
        for i in range(n):
            settled[i] = error[i]
        weighed(settled)
        filtered(settled, shared, persistent)
        for i in range(n):
            error[i] = select(mask, settled[i], error[i])

    return settle
