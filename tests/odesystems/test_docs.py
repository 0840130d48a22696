"""The page about models: its examples run as pasted, and its list of functions is the true one."""

import contextlib
import io
import re
from pathlib import Path
from typing import Final

from cubie.odesystems.symbolic.vocabulary import WORDS

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_examples_run_in_their_order() -> None:
    namespace: dict[str, object] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
            exec(compile(block, "docs/models.md", "exec"), namespace)
    assert printed.getvalue().startswith("dx = sigma*(y - x)\n")
    assert "out[1] = fma(y0, p1 - y2, -y1)" in printed.getvalue()


def test_every_function_is_listed_or_another_spelling_of_one() -> None:
    listed = re.search(r"^Functions: `([^`]*)`", PAGE, re.MULTILINE)
    assert listed is not None
    names = set(listed[1].split())
    assert names <= set(WORDS)
    spellings = {"absolute", "fabs", "ceiling", "sgn", "power", "minimum", "maximum", "fmin", "fmax", "arctan2"}
    assert set(WORDS) - names <= spellings | {f"arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}
