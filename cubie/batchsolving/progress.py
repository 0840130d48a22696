"""A bar that shows how many runs have ended."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Tell: TypeAlias = Callable[[int], None]


@contextmanager
def progress_bar(n_runs: int, name: str, *, shown: bool) -> Iterator[Tell | None]:
    """Yield what tells a bar over `n_runs` runs of finished ones, from any thread; None if it is not `shown`."""
    if not shown:
        yield None
        return
    from tqdm import tqdm

    lock = threading.Lock()
    with tqdm(total=n_runs, desc=name, unit=" runs", unit_scale=True) as bar:

        def tell(finished: int) -> None:
            with lock:
                bar.update(finished)

        yield tell
