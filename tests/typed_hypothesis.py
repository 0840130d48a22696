"""Hypothesis' `given`, for one strategy, with a signature in which nothing is `Any`."""

from collections.abc import Callable
from typing import TypeVar

import hypothesis
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


def given(strategy: SearchStrategy[T], *, examples: int = 100) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Run a test of one argument on values of `strategy`.

    Parameters
    ----------
    examples : how many values, at most.
    """

    def decorate(test: Callable[[T], None]) -> Callable[[], None]:
        return hypothesis.settings(max_examples=examples)(hypothesis.given(strategy)(test))

    return decorate
