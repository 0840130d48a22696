"""A bar that shows how many runs have ended, and a clock for what is done before."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

Tell: TypeAlias = Callable[[int], None]
TICK_SECONDS: Final = 0.3


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


@contextmanager
def clock(what: str, *, shown: bool) -> Iterator[None]:
    """Show that something goes on which can't tell how far it is, and since when, if it takes longer than a moment."""
    if not shown:
        yield
        return
    done = threading.Event()
    ticking = threading.Thread(target=_tick, args=(what, done), name="cubie clock", daemon=True)
    ticking.start()
    try:
        yield
    finally:
        done.set()
        ticking.join()


def _tick(what: str, done: threading.Event) -> None:
    if done.wait(TICK_SECONDS):
        return
    from tqdm import tqdm

    with tqdm(desc=what, bar_format="{desc}: {elapsed}") as bar:
        while not done.wait(TICK_SECONDS):
            bar.refresh()
