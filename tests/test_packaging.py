"""What a user installs: the wheel's contents, its types as another project sees them, and the words that say how."""

import configparser
import subprocess
import sys
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest

from tests.readme import set_up_commands

ROOT: Final = Path(__file__).resolve().parent.parent

USERS_SCRIPT: Final = """
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import cubie

decay = cubie.create_ode_system(["dx = -k*x"], states={"x": 1.0}, parameters={"k": 1.0})
solution = cubie.solve_ivp(decay, t_span=(0.0, 1.0), parameters={"k": np.linspace(1.0, 2.0, 5)}, method="tsit5")
assert_type(solution, cubie.Solution)
names: list[str] = cubie.methods()
cubie.solve_ivp(decay, t_span=(0.0, 1.0), rtoll=1e-6)  # type: ignore[call-overload]  # misspelt
cubie.solve_ivp(decay, t_span=(0.0, 1.0), sweep="grid")  # type: ignore[call-overload]  # no such choice
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that no old build folder can lend it a file."""
    copy = tmp_path_factory.mktemp("source")
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    files = run(*listed, "cubie", "pyproject.toml", "README.md", "LICENSE", cwd=ROOT).stdout.splitlines()
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist")
    built = run(sys.executable, "-m", "pip", "wheel", ".", *options, cwd=copy)
    assert built.returncode == 0, built.stderr
    [path] = (copy / "dist").glob("cubie-*.whl")
    return path


@pytest.fixture(scope="module")
def users_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an environment of its own, which borrows this one's dependencies but not its cubie."""
    environment = tmp_path_factory.mktemp("user") / "venv"
    made = run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=ROOT)
    assert made.returncode == 0, made.stderr
    python = environment / "bin" / "python"
    installed = run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=environment
    )
    assert installed.returncode == 0, installed.stderr
    [packages] = (environment / "lib").glob("python*/site-packages")
    borrowed = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    return python


def test_wheel_ships_types_and_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "cubie/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"cubie"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "cubie").rglob("*.py")}
    assert modules <= set(names)


def test_installed_wheel_is_the_one_that_a_user_imports(users_python: Path, tmp_path: Path) -> None:
    shown = run(users_python, "-c", "import cubie; print(cubie.__file__)", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert Path(shown.stdout.strip()).is_relative_to(users_python.parent.parent)


def test_users_script_is_checked_against_the_installed_wheel(users_python: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(USERS_SCRIPT, encoding="utf-8")
    checked = run(
        sys.executable,
        *("-m", "mypy", "--strict", "--config-file=", "--warn-unused-ignores", "--python-executable", users_python),
        "script.py",
        cwd=tmp_path,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_readme_has_two_set_up_commands_and_ci_runs_the_second() -> None:
    demo, checks = set_up_commands()
    assert demo.endswith(".venv/bin/cubie demo")
    assert checks.endswith(".venv/bin/python -m tests.checks")
    assert checks in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_mypy_is_as_strict_as_promised() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "mypy.ini")
    whole = config["mypy"]
    flags = ["strict", "warn_unreachable", "strict_equality_for_none", "disallow_any_unimported"]
    for flag in [*flags, "disallow_any_explicit", "disallow_any_decorated"]:
        assert whole.getboolean(flag), flag
    relaxed = {
        (section, option)
        for section in config.sections()
        for option, value in config[section].items()
        if section != "mypy" and (value.lower() == "false" or option.startswith(("ignore", "disable", "follow")))
    }
    assert relaxed == {("mypy-cubie.targets.*", "disallow_any_explicit")}


def test_no_device_body_has_an_unknown_part() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "mypy.ini")
    patterns = [
        pattern
        for section in config.sections()
        if config[section].getboolean("disallow_any_expr", fallback=False)
        for pattern in section.removeprefix("mypy-").split(",")
    ]
    assert {"cubie._types", "cubie.buffer_registry", "cubie.cuda_factory"} <= set(patterns)
    for path in (ROOT / "cubie").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if "target.device\n" in path.read_text(encoding="utf-8") and not name.startswith("cubie.targets."):
            assert any(fnmatchcase(name, pattern) for pattern in patterns), (
                f"say disallow_any_expr of {name} in mypy.ini"
            )
