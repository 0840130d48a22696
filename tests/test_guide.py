"""The guide's Python blocks run as they stand, one after the other, and say what their comments say."""

import re
from pathlib import Path
from typing import Final

import pytest

import cubie
from cubie.integrators.algorithms.methods import METHODS, error_order
from cubie.status import Status

GUIDE: Final = Path(__file__).resolve().parent.parent / "docs" / "guide.md"


def test_the_blocks_of_the_guide_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{GUIDE.name}, block {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert len(blocks) == 7
    assert "[ True  True False]\n" in printed
    assert "[0.   0.25]\n" in printed
    assert "[2]\n" in printed


def test_the_table_of_statuses_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(name, int(code)) for name, code in rows] == [(status.name, int(status)) for status in Status]


def test_the_table_of_methods_is_that_of_the_code() -> None:
    page = GUIDE.with_name("methods.md").read_text(encoding="utf-8")
    cells = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:3] == "| `"]
    listed = {name: (*numbers,) for name, _, _, *numbers in cells}
    assert listed == {
        name: (str(method.order), str(error_order(method) or "-"), str(method.dense_order))
        for name, method in METHODS.items()
    }
    assert [names.replace("`", "") for _, names, *_ in cells] == [", ".join(row.aliases) for row in METHODS.values()]


@pytest.mark.parametrize("name", cubie.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f"`{name}" in GUIDE.with_name("api.md").read_text(encoding="utf-8")
