"""Step size controllers as rows of one gain law.

With e the error norm of a step (1 is just accepted), k = p + 1 the power of dt by which it shrinks, and h the step
sizes::

    e'[n] = e[n] / safety**k
    h[n+1] = h[n] * e'[n]**(-beta[0]/k) * e'[n-1]**(-beta[1]/k) * e'[n-2]**(-beta[2]/k)
                  * (h[n]/h[n-1])**(-alpha[0]) * (h[n-1]/h[n-2])**(-alpha[1])

so that all laws steer for the same error, safety**k; a rejected step is tried again with ``safety * e[n]**(-1/k)``,
which is also the most that a bounded law lets a step grow by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from cubie._types import find_name, nearest


class UnknownControllerError(LookupError, ValueError):
    """No controller has this name."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GainLaw:
    """One controller: exponents of the last errors (`beta`) and of the last step ratios (`alpha`); none of either keeps
    the step fixed. A bounded one gives no longer step than the last error alone would.
    """

    name: str
    beta: tuple[float, ...] = ()
    alpha: tuple[float, ...] = ()
    is_bounded: bool = False
    safety: float = 0.9
    min_gain: float = 0.2
    max_gain: float = 10.0
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.beta) > 3 or len(self.alpha) > 2:
            raise ValueError(
                f"gain law '{self.name}' must have at most 3 beta and 2 alpha, got {self.beta} and {self.alpha}. "
                "Drop the last ones."
            )
        if self.alpha and not self.beta:
            raise ValueError(
                f"gain law '{self.name}' must have a beta where it has an alpha, got {self.alpha}. Give beta."
            )
        if not 0.0 < self.min_gain < self.safety <= 1.0 < self.max_gain:
            given = f"{self.min_gain}, {self.safety} and {self.max_gain}"
            raise ValueError(
                f"gain law '{self.name}' must have 0 < min_gain < safety <= 1 < max_gain, got {given}. Change one."
            )

    @property
    def is_adaptive(self) -> bool:
        """The step size follows the error."""
        return bool(self.beta)

    @property
    def n_past_errors(self) -> int:
        """Errors of earlier steps that have to be remembered."""
        return max(len(self.beta) - 1, 0)

    @property
    def n_past_gains(self) -> int:
        """Step ratios that have to be remembered."""
        return len(self.alpha)


_SODERLIND_2003: Final = "Soderlind (2003), Digital filters in adaptive time-stepping, ACM TOMS 29(1), 1-26, Table III"
_SODERLIND_WANG_2006: Final = "Soderlind & Wang (2006), J. Comput. Appl. Math. 185(2), 225-243, Table 1"

_ROWS: Final = (
    GainLaw(name="fixed", source="no control"),
    GainLaw(name="i", beta=(1.0,), source="Hairer, Norsett & Wanner (1993), Solving ODEs I, eq. II.4.13"),
    GainLaw(
        name="pi",
        beta=(0.7, -0.4),
        source="Gustafsson (1991), ACM TOMS 17(4), 533-554; Hairer & Wanner (1996), Solving ODEs II, eq. IV.2.43",
    ),
    GainLaw(
        name="pid",
        beta=(0.58, -0.21, 0.1),
        source="Kennedy & Carpenter (2003), Appl. Numer. Math. 44(1-2), 139-181, Sec. 2.3",
    ),
    GainLaw(
        name="gustafsson",
        beta=(2.0, -1.0),
        alpha=(-1.0,),
        is_bounded=True,
        source="Gustafsson (1994), ACM TOMS 20(4), 496-517; Solving ODEs II, eq. IV.8.25, bounded as in RADAU5",
    ),
    GainLaw(name="h211pi", beta=(1 / 6, 1 / 6), source=_SODERLIND_2003),
    GainLaw(name="h312pid", beta=(1 / 18, 1 / 9, 1 / 18), source=_SODERLIND_2003),
    GainLaw(name="pi42", beta=(3 / 5, -1 / 5), source=_SODERLIND_WANG_2006),
    GainLaw(name="pi33", beta=(2 / 3, -1 / 3), source=_SODERLIND_WANG_2006),
    GainLaw(name="pi34", beta=(7 / 10, -4 / 10), source=_SODERLIND_WANG_2006),
)
GAIN_LAWS: Final[Mapping[str, GainLaw]] = MappingProxyType({row.name: row for row in _ROWS})


def find_gain_law(name: str) -> GainLaw:
    """Return the controller called `name`, however it is spelt (see `canonical_form`).

    Raises
    ------
    UnknownControllerError: it offers the nearest name.
    """
    found = find_name(name, GAIN_LAWS)
    if found is None:
        hint = nearest(name.lower(), GAIN_LAWS)
        raise UnknownControllerError(f"unknown controller '{name}'.{hint} There are {', '.join(GAIN_LAWS)}.")
    return GAIN_LAWS[found]
