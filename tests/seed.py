"""The number that chooses today's sample of the accuracy matrix: printed, so that a failure can be had again."""

import datetime
import os
from typing import Final


def accuracy_seed() -> int:
    """Return `CUBIE_ACCURACY_SEED` where it is set, else today's date as a number such as 20261231."""
    given = os.environ.get("CUBIE_ACCURACY_SEED")
    if given is not None:
        return int(given)
    return int(datetime.datetime.now(datetime.UTC).strftime("%Y%m%d"))


ACCURACY_SEED: Final = accuracy_seed()
