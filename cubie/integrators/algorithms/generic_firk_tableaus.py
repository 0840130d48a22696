"""Rows of the fully implicit Runge-Kutta family.

Gauss and Radau methods are collocation methods, given by their nodes to 40 digits; Lobatto IIIC stands as printed.
`block_form` decouples the stages of any of them, `filtered_estimate` gives an error estimate, `collocation_weights`
the polynomial that predicts stages. Dense output of less than order 3 is left to Hermite's cubic.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau, rows_by_name
from cubie.integrators.algorithms.collocation import (
    collocation_interpolant,
    collocation_matrix,
    collocation_weights,
    weights_at,
)
from cubie.integrators.algorithms.printed_rows import exact_row

__all__ = ["FIRK_TABLEAUS"]

F = Fraction

_COLLOCATION: Final = "Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. II.7: the collocation polynomial"


def _collocation(name: str, order: int, nodes: str, source: str, aliases: tuple[str, ...] = ()) -> ButcherTableau:
    c = exact_row(nodes)
    return ButcherTableau(
        name=name,
        order=order,
        aliases=aliases,
        a=collocation_matrix(c),
        b=weights_at(F(1), collocation_weights(c)),
        c=c,
        source=source,
        interpolant=collocation_interpolant(c, len(c), _COLLOCATION) if len(c) >= 3 else None,
    )


_GAUSS: Final = "Butcher (1964), Math. Comp. 18, 50-64; Hairer & Wanner (1996), Solving ODEs II, Sec. IV.5"
GAUSS_LEGENDRE_2 = _collocation("gauss-legendre-2", 2, "1/2", _GAUSS)
GAUSS_LEGENDRE_4 = _collocation(
    "gauss-legendre-4",
    4,
    "0.2113248654051871177454256097490212721762 0.7886751345948128822545743902509787278238",
    _GAUSS,
)
GAUSS_LEGENDRE_6 = _collocation(
    "gauss-legendre-6",
    6,
    "0.1127016653792583114820734600217600389167 1/2 0.8872983346207416885179265399782399610833",
    _GAUSS,
)

_RADAU: Final = "Ehle (1969), report CSRR 2010, Waterloo; Hairer & Wanner (1996), Solving ODEs II, Sec. IV.5"
RADAU_IIA_3 = _collocation("radau-iia-3", 3, "1/3 1", _RADAU)
RADAU_IIA_5 = _collocation(
    "radau-iia-5",
    5,
    "0.1550510257216821901802715925294108608034 0.6449489742783178098197284074705891391966 1",
    _RADAU,
    aliases=("radau", "radau5"),
)
RADAU_IIA_9 = _collocation(
    "radau-iia-9",
    9,
    "0.05710419611451768219312119255411562123508 0.27684301363812382768004599768562514111089"
    " 0.58359043236891682005669766866291724869343 0.86024013565621944784791291887511976673838 1",
    _RADAU,
    aliases=("radau9",),
)

# fmt: off
_LOBATTO: Final = "Chipman (1971), BIT 11, 384-393; Hairer & Wanner (1996), Solving ODEs II, Table IV.5.12"
_LOBATTO_HAT: Final = "embedded weights as in the common lists of Lobatto methods"
LOBATTO_IIIC_2 = ButcherTableau(
    name="lobatto-iiic-2", order=2, order_hat=1,
    a=((F(1, 2), F(-1, 2)), (F(1, 2), F(1, 2))), b=(F(1, 2), F(1, 2)), b_hat=(1, 0), c=(0, 1),
    source=f"{_LOBATTO}; {_LOBATTO_HAT}",
)

LOBATTO_IIIC_4 = ButcherTableau(
    name="lobatto-iiic-4", order=4, order_hat=2,
    a=((F(1, 6), F(-1, 3), F(1, 6)), (F(1, 6), F(5, 12), F(-1, 12)), (F(1, 6), F(2, 3), F(1, 6))),
    b=(F(1, 6), F(2, 3), F(1, 6)), b_hat=(F(-1, 2), 2, F(-1, 2)), c=(0, F(1, 2), 1),
    source=f"{_LOBATTO}; {_LOBATTO_HAT}",
    interpolant=collocation_interpolant((0, F(1, 2), 1), 3, "the integral of the rates' quadratic interpolant"),
)
# fmt: on

FIRK_TABLEAUS: Final[Mapping[str, ButcherTableau]] = rows_by_name(
    (
        GAUSS_LEGENDRE_2,
        GAUSS_LEGENDRE_4,
        GAUSS_LEGENDRE_6,
        RADAU_IIA_3,
        RADAU_IIA_5,
        RADAU_IIA_9,
        LOBATTO_IIIC_2,
        LOBATTO_IIIC_4,
    )
)
