"""Explicit Euler: the row of the explicit family with one stage, ``y_next = y + dt*f(t, y)``."""

from typing import Final

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau

EXPLICIT_EULER: Final = ButcherTableau(
    name="explicit-euler",
    order=1,
    aliases=("euler",),
    a=((),),
    b=(1,),
    c=(0,),
    source="Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.7",
)
