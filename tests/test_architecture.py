"""The house rules that a syntax tree can show: who imports whom, what is loaded when, and how large things are."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "cubie"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

# A room may import from rooms that stand lower, and from itself.
FLOORS: Final[dict[str, int]] = {
    "_types": 0,
    "status": 0,
    "buffers": 1,
    "targets": 1,
    "cuda_factory": 2,
    "odesystems": 3,
    "integrators": 4,
    "outputhandling": 4,
    "memory": 4,
    "batchsolving": 5,
    "demo": 6,
    "cli": 7,
    "__init__": 8,
}
# On these floors the rooms do not know each other.
STRANGERS: Final = ({"buffers", "targets"},)
COMPILERS: Final = frozenset({"numba", "llvmlite", "numba_cuda", "cuda"})
LOADED_LATE: Final = COMPILERS | {"sympy", "xarray", "pandas", "scipy", "matplotlib", "tqdm"}
N_PITFALLS: Final = 27
"""Faults that systems of this kind have had."""
MAX_MODULE_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 60


def module_name(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def room(dotted: str) -> str:
    """Return the part of `cubie` that a dotted name belongs to."""
    name = dotted.split(".")[1] if "." in dotted else "__init__"
    return "buffers" if name.startswith("buffer_") else name


def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_names(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports anywhere, inside functions too."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert node.module is not None
            if node.module == "cubie":
                yield from (f"cubie.{alias.name}" for alias in node.names)
            else:
                yield node.module


def length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def own_lines(function: Function) -> int:
    """Return the lines of a function without its docstring and without those of the functions inside it."""
    inner = [node for child in function.body for node in outermost_functions(child)]
    docstring = [function.body[0]] if ast.get_docstring(function) is not None else []
    return length(function) - sum(map(length, [*inner, *docstring]))


def outermost_functions(node: ast.AST) -> Iterator[Function]:
    if isinstance(node, Function):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from outermost_functions(child)


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_imports_run_one_way(path: Path) -> None:
    here = room(module_name(path))
    assert here in FLOORS, f"{path} stands on no floor. Say in FLOORS who may import it."
    for name in imported_names(path):
        if name.split(".")[0] != "cubie":
            continue
        there = room(name)
        assert there in FLOORS, f"{path} imports {name}, which stands on no floor"
        if there == here:
            continue
        assert FLOORS[there] <= FLOORS[here], f"{path} imports {name} from a floor above"
        assert {here, there} not in STRANGERS, f"{path} imports {name}: these rooms must not know each other"


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_only_targets_know_a_compiler(path: Path) -> None:
    known = {name for name in imported_names(path) if name.split(".")[0] in COMPILERS}
    assert not known or room(module_name(path)) == "targets", f"{path} imports {sorted(known)}"


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_modules_and_functions_stay_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_MODULE_LINES or "tableau" in path.name, f"{path} has {lines} lines. Split it by idea."
    for node in ast.walk(syntax(path)):
        if isinstance(node, Function):
            assert own_lines(node) <= MAX_FUNCTION_LINES, (
                f"{path}:{node.lineno} {node.name} has {own_lines(node)} lines"
            )


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_types_are_not_talked_away(path: Path) -> None:
    if room(module_name(path)) == "targets":
        return
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.ImportFrom) and node.module in {"typing", "typing_extensions"}:
            taken = {alias.name for alias in node.names} & {"Any", "cast"}
            assert not taken, f"{path}:{node.lineno} takes {sorted(taken)} from typing; only cubie.targets may"


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_nothing_is_left_for_later(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b", text)
    assert not found, f"{path} holds {found}"


def test_every_ignored_type_error_says_why() -> None:
    for path in sorted({*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "typings").rglob("*.pyi")}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"#\s*type:\s*ignore", line) and path != Path(__file__):
                assert re.search(r"# type: ignore\[[a-z, -]+\]  # \w", line), (
                    f"{path}:{number} ignores without a reason"
                )


def test_tests_mirror_the_package() -> None:
    for folder in sorted({path.parent for path in MODULES} - {PACKAGE}):
        mirror = ROOT / "tests" / folder.relative_to(PACKAGE)
        assert (mirror / "__init__.py").exists(), f"{folder} has no test folder {mirror}"
        assert list(mirror.rglob("test_*.py")), f"{mirror} holds no test"
    for path in PACKAGE.glob("[!_]*.py"):
        assert (ROOT / "tests" / f"test_{path.name}").exists(), f"{path} has no tests/test_{path.name}"


def python(code: str) -> str:
    """Run code in a new interpreter; return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_cubie_loads_nothing_heavy() -> None:
    loaded = set(python("import sys, cubie; print(*sys.modules)").split())
    assert not loaded & LOADED_LATE


def test_importing_cubie_takes_less_than_a_fifth_of_a_second() -> None:
    code = "import time; start = time.perf_counter(); import cubie; print(time.perf_counter() - start)"
    fastest = min(float(python(code)) for _ in range(5))
    assert fastest < 0.2


def test_every_public_name_can_be_had() -> None:
    code = "import cubie; print([n for n in cubie.__all__ if getattr(cubie, n) is None or n not in dir(cubie)])"
    assert python(code).strip() == "[]"


def test_every_pitfall_is_named_by_a_test() -> None:
    """A docstring that begins with PITFALL and its number says what went wrong elsewhere."""
    docstrings = (
        ast.get_docstring(node) or ""
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
    named = {int(number) for text in docstrings for number in re.findall(r"^PITFALL (\d+): ", text)}
    assert named == set(range(1, N_PITFALLS + 1))
