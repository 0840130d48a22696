"""The memory map: valid XML, every buffer in it, and nothing that overlaps or leaves the page."""

from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest

from cubie.buffer_map import BAR_WIDTH, MARGIN
from tests.buffer_toys import Toy, ToyRegistry
from tests.test_buffer_report import example

SVG: Final = "{http://www.w3.org/2000/svg}"
PICTURE: Final = Path(__file__).resolve().parent.parent / "docs" / "buffer_map.svg"


class Loop(Toy):
    """The root of the picture in the documentation."""


class Dirk(Toy):
    """Its step, with two caches that live in the Newton solver's scratch."""


class NewtonKrylov(Toy):
    """The step's solver."""


class LinearSolver(Toy):
    """The solver's solver."""


class Controller(Toy):
    """What chooses step sizes, with a memory."""


def documented(registry: ToyRegistry) -> Loop:
    """Return the tree of the picture in the documentation."""
    loop, dirk, newton, linear, controller = Loop(), Dirk(), NewtonKrylov(), LinearSolver(), Controller()
    for name in ("direction", "product"):
        registry.register(name, linear, 9, "shared", precision=np.float64)
    for name in ("residual", "correction"):
        registry.register(name, newton, 9, "shared", precision=np.float64)
    registry.register("iterations", newton, 1, "local", precision=np.int32)
    newton.adopt(registry, "linear", linear)
    registry.register("stage_rates", dirk, 27, "shared", persistent=True, precision=np.float64)
    registry.register("stage_state", dirk, 9, "local", precision=np.float64)
    dirk.adopt(registry, "newton", newton)
    for name in ("increment_cache", "rhs_cache"):
        registry.register(name, dirk, 9, "local", aliases="newton_shared", precision=np.float64)
    registry.register("predictor", dirk, 4, "local", aliases="rhs_cache", precision=np.float64)
    registry.register("error_history", controller, 2, "local", persistent=True, precision=np.float64)
    for name in ("state", "rate"):
        registry.register(name, loop, 9, "local", persistent=True, precision=np.float64)
    registry.register("error", loop, 9, "shared", precision=np.float64)
    registry.register("y_next", loop, 9, "local", precision=np.float64)
    loop.adopt(registry, "step", dirk)
    loop.adopt(registry, "controller", controller)
    return loop


class Drawn(NamedTuple):
    """A box as drawn, in pixels."""

    label: str
    x: float
    y: float
    width: float
    height: float


def drawn(page: ElementTree.Element) -> list[Drawn]:
    """Return the boxes of a page with their labels."""
    boxes: list[Drawn] = []
    for group in page.iter(f"{SVG}g"):
        rectangle, text = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert rectangle is not None
        assert text is not None
        x, y, width, height = (float(rectangle.attrib[name]) for name in ("x", "y", "width", "height"))
        boxes.append(Drawn(text.text or "", x, y, width, height))
    return boxes


@pytest.fixture
def page() -> ElementTree.Element:
    registry = ToyRegistry()
    return ElementTree.fromstring(registry.report(example(registry)).to_svg())


def test_every_buffer_and_every_child_is_drawn(page: ElementTree.Element) -> None:
    labels = [box.label for box in drawn(page)]
    assert {"state", "error", "rates", "cache", "too_large", "residual", "counts"} <= set(labels)
    assert labels.count("step") == 2, "its part of the shared pool, and its locals"


def test_no_two_boxes_overlap_and_all_are_on_the_page(page: ElementTree.Element) -> None:
    boxes = drawn(page)
    for box in boxes:
        assert box.x >= 0
        assert box.x + box.width <= float(page.attrib["width"])
        assert box.y + box.height <= float(page.attrib["height"])
    for one in boxes:
        for other in boxes:
            apart = (
                one.x + one.width <= other.x
                or other.x + other.width <= one.x
                or one.y + one.height <= other.y
                or other.y + other.height <= one.y
            )
            assert one is other or apart, f"{one} overlaps {other}"


def test_an_alias_stands_below_its_target_and_within_its_width(page: ElementTree.Element) -> None:
    boxes = {box.label: box for box in drawn(page)}
    target = next(box for box in drawn(page) if box.label == "solver")
    alias = boxes["cache"]
    assert alias.y > target.y
    assert target.x <= alias.x
    assert alias.x + alias.width <= target.x + target.width


def test_every_box_is_wide_enough_for_its_text(page: ElementTree.Element) -> None:
    assert all(box.width > 7 * len(box.label) for box in drawn(page))


def test_a_box_says_all_when_pointed_at(page: ElementTree.Element) -> None:
    titles = [title.text for title in page.iter(f"{SVG}title")]
    assert "too_large: 30 × float64, elements 9 to 39; own storage, not inside solver_shared" in titles
    assert "counts: 2 × int32, an array of its own" in titles


def test_many_buffers_make_a_wider_page_and_none_an_empty_one() -> None:
    registry, toy = ToyRegistry(), Toy()
    assert registry.report(toy).to_svg().count("<g>") == 0
    for index in range(40):
        registry.register(f"a_rather_long_name_{index}", toy, 1 + index, "shared", precision=np.float32)
    page = ElementTree.fromstring(registry.report(toy).to_svg())
    assert float(page.attrib["width"]) > BAR_WIDTH + 2 * MARGIN
    assert len(drawn(page)) == 40


def picture() -> str:
    registry = ToyRegistry()
    loop = documented(registry)
    return registry.report(loop).to_svg() + "\n"


def test_the_picture_in_the_documentation_is_what_is_drawn() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(), "python -m tests.test_buffer_map draws it anew"


def test_the_table_in_the_documentation_is_what_is_printed() -> None:
    registry = ToyRegistry()
    loop = documented(registry)
    page = PICTURE.with_name("buffer_registry.md").read_text(encoding="utf-8")
    assert str(registry.report(loop)) in page


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
