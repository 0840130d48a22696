"""Controllers as rows: published coefficients, and what a user's own row must fulfil."""

from collections.abc import Mapping
from typing import Final

import pytest

from cubie._types import canonical_form
from cubie.integrators.step_control.gain_laws import GAIN_LAWS, GainLaw, UnknownControllerError, find_gain_law

Exponents = tuple[tuple[float, ...], tuple[float, ...]]

PUBLISHED: Final[Mapping[str, Exponents]] = {
    "fixed": ((), ()),
    "i": ((1.0,), ()),
    "pi": ((0.7, -0.4), ()),
    "pid": ((0.58, -0.21, 0.1), ()),
    "gustafsson": ((2.0, -1.0), (-1.0,)),
    "h211pi": ((1 / 6, 1 / 6), ()),
    "h312pid": ((1 / 18, 1 / 9, 1 / 18), ()),
    "pi42": ((3 / 5, -1 / 5), ()),
    "pi33": ((2 / 3, -1 / 3), ()),
    "pi34": ((7 / 10, -4 / 10), ()),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_row_holds_the_published_exponents_and_their_source(name: str) -> None:
    law = GAIN_LAWS[name]
    assert (law.beta, law.alpha) == PUBLISHED[name]
    assert law.source


def test_every_row_is_listed_above() -> None:
    assert set(GAIN_LAWS) == set(PUBLISHED)


@pytest.mark.parametrize("law", GAIN_LAWS.values(), ids=lambda law: law.name)
def test_a_row_keeps_the_step_that_always_has_the_same_error(law: GainLaw) -> None:
    """At equilibrium the error is what safety makes of 1: all exponents of errors together are positive."""
    assert sum(law.beta) > 0 or not law.is_adaptive
    assert law.is_adaptive == (law.name != "fixed")


def test_names_are_found_in_either_case() -> None:
    assert find_gain_law("PI42") is GAIN_LAWS["pi42"]
    assert find_gain_law("H211-PI") is GAIN_LAWS["h211pi"]
    assert len({*map(canonical_form, GAIN_LAWS)}) == len(GAIN_LAWS)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(UnknownControllerError) as raised:
        find_gain_law("pi24")
    text = str(raised.value)
    assert "unknown controller 'pi24'. Did you mean 'pi" in text
    assert "gustafsson" in text
    with pytest.raises(ValueError, match="There are fixed, i, pi"):
        find_gain_law("zzz")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": (1.0, 1.0, 1.0, 1.0)}, "at most 3 beta and 2 alpha"),
        ({"beta": (1.0,), "alpha": (0.1, 0.1, 0.1)}, "at most 3 beta and 2 alpha"),
        ({"alpha": (0.1,)}, "must have a beta where it has an alpha"),
        ({"beta": (1.0,), "max_gain": 1.0}, r"0 < min_gain < safety <= 1 < max_gain, got 0\.2, 0\.9 and 1\.0"),
        ({"beta": (1.0,), "min_gain": 0.0}, "0 < min_gain"),
        ({"beta": (1.0,), "safety": 1.1}, "safety <= 1"),
        ({"beta": (1.0,), "safety": float("nan")}, "safety <= 1"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(changes: dict[str, float | tuple[float, ...]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GainLaw(name="mine", **changes)  # type: ignore[arg-type]  # each key has its own type
