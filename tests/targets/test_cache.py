"""Kernels kept between processes: what names them, and what is done about entries that are not what they should be."""

import os
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from cubie import Solver, create_ode_system
from cubie.integrators.loops.ode_loop_config import LoopArguments, loop_arguments
from cubie.targets import cache
from cubie.targets.base import KernelLayout
from cubie.targets.cache import HEAD_BYTES, MAGIC, SUFFIX, spelled

LAYOUT: Final = KernelLayout(
    name="decay",
    group=LoopArguments,
    arguments=loop_arguments(np.float64),
    n_outputs=3,
    n_shared=0,
    shared_precision=np.float64,
    n_persistent=2,
    persistent_precision=np.float64,
    shape="a loop",
)
NAME: Final = "0123456789abcdef" * 4
CODE: Final = bytes(range(256)) * 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Turn the cache on, in an empty folder of its own; return where entries go."""
    monkeypatch.setenv("CUBIE_CACHE", "1")
    monkeypatch.setenv("CUBIE_CACHE_DIR", str(tmp_path))
    return tmp_path / "kernels"


@dataclass
class Plain:
    """Settings as factories have them."""

    numbers: tuple[float, ...]
    kind: type[object]
    names: dict[str, int]


def test_plain_data_is_spelled_so_that_different_values_differ() -> None:
    values: list[object] = [
        *(1, 1.0, True, None, "1", "", (), (1,), ((1,),), (1, 2), (12,), {}, {"1": 1}, Fraction(1, 3), 1 / 3),
        *(np.float32(1), np.float64(1), np.float64, np.float32, slice(0, 2), float("inf"), 0.1, 0.1 + 2**-56),
        *(Plain((0.1,), np.float32, {"a": 1}), Plain((0.1,), np.float32, {"a": 2}), Plain((0.1,), int, {"a": 1})),
        *(create_ode_system(f"dx = {k}*x", states=["x"]) for k in (1, 2)),
    ]
    assert len({spelled(value) for value in values}) == len(values)
    named = [create_ode_system(f"d{x} = 2*{x}", states=[x]) for x in "ab"]
    assert spelled(named[0]) == spelled(named[1])


def test_what_has_no_spelling_that_lasts_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must be plain data, got a function\. Keep it out"):
        spelled((1, test_what_has_no_spelling_that_lasts_is_refused))


def test_everything_that_shapes_code_is_in_a_kernels_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PITFALL 22: kernels were served after the source, the toolchain or an environment variable had changed."""

    def named(width: int = 8, features: str = "+avx2", shape: str = "a loop", n_persistent: int = 2) -> str:
        layout = LAYOUT._replace(shape=shape, n_persistent=n_persistent)
        return cache.key(("cpu", width, False, "skylake", features), layout, ("numba", "llvmlite"))

    names = {
        "usual": named(),
        "width": named(width=16),
        "features": named(features="+avx512f"),
        "shape": named(shape="another loop"),
        "pool": named(n_persistent=3),
    }
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_version", lambda package: "0.0")
        names["numba"] = named()
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_sources", lambda: "changed")
        names["source"] = named()
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_CPU_NAME", "generic")
        names["environment"] = named()
    with monkeypatch.context() as patch:
        patch.chdir(folder.parent)
        Path(".numba_config.yaml").write_text("cpu_name: generic\n")
        names["file of numba's"] = named()
    assert len(set(names.values())) == len(names)
    assert named() == names["usual"]
    monkeypatch.setenv("CUBIE_CACHE", "off")
    assert named() == ""


def test_an_entry_is_read_back_by_its_name_alone(folder: Path) -> None:
    assert cache.load(NAME) is None
    cache.store(NAME, CODE)
    assert cache.load(NAME) == CODE
    assert cache.load(NAME[::-1]) is None
    assert [path.name for path in folder.iterdir()] == [NAME + SUFFIX]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache.clear() == 1
    assert cache.load(NAME) is None


def test_nothing_is_kept_under_no_name(folder: Path) -> None:
    cache.store("", CODE)
    assert not folder.exists()
    assert cache.load("") is None


def test_damaged_and_foreign_entries_are_not_read(folder: Path) -> None:
    cache.store(NAME, CODE)
    path = folder / (NAME + SUFFIX)
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut in its head": whole[:40],
        "cut in its code": whole[:-1],
        "longer": whole + b"\0",
        "another format": whole.replace(b"format 1", b"format 2"),
        "one bit": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "checksum": whole[: len(MAGIC) + 70] + b"0" + whole[len(MAGIC) + 71 :],
        "code alone": whole[HEAD_BYTES:],
        "noise": os.urandom(len(whole)),
    }
    for what, content in damaged.items():
        path.write_bytes(content)
        assert cache.load(NAME) is None, what
    path.write_bytes(whole)
    other = NAME[::-1]
    (folder / (other + SUFFIX)).write_bytes(whole)
    assert cache.load(other) is None
    assert cache.load(NAME) == CODE


def test_what_others_could_have_written_is_not_read(folder: Path, tmp_path: Path) -> None:
    cache.store(NAME, CODE)
    path = folder / (NAME + SUFFIX)
    path.chmod(0o666)
    assert cache.load(NAME) is None
    path.chmod(0o600)
    folder.chmod(0o777)
    assert cache.load(NAME) is None
    cache.store(NAME[::-1], CODE)
    assert len(list(folder.iterdir())) == 1
    folder.chmod(0o700)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.load(NAME) is None
    path.unlink()
    path.mkdir()
    assert cache.load(NAME) is None
    cache.store(NAME, CODE)
    assert cache.load(NAME) is None


def test_a_folder_that_belongs_to_another_user_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(NAME, CODE)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    assert cache.load(NAME) is None
    assert cache.refusal().startswith("it is another user's. Run ")


def test_why_a_folder_is_not_used_is_logged_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.store(NAME, CODE)
    assert not caplog.records
    folder.chmod(0o755)
    for _ in range(2):
        assert cache.load(NAME) is None
        cache.store(NAME, CODE)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"kernels are not kept in {folder}: others may write or read it. Run 'chmod")


def test_a_home_is_put_in_the_place_of_its_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CUBIE_CACHE_DIR", "~/kept")
    assert cache.folder() == tmp_path / "kept" / "kernels"
    monkeypatch.setenv("CUBIE_CACHE_DIR", "~no-such-user/kept")
    assert cache.folder() == Path.cwd() / "~no-such-user" / "kept" / "kernels"


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CUBIE_CACHE_DIR", str(tmp_path / "file"))
    cache.store(NAME, CODE)
    assert cache.load(NAME) is None
    assert cache.entries() == []
    assert cache.clear() == 0


def test_the_oldest_entries_make_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 4)
    names = [f"{number:064x}" for number in range(5)]
    for age, name in enumerate(names):
        cache.store(name, CODE)
        os.utime(folder / (name + SUFFIX), (age, age))
        if age == 3:
            assert len(cache.entries()) == 4
    assert len(cache.entries()) == 2
    assert cache.load(names[4]) == CODE
    assert cache.load(names[0]) is None


ANSWER: Final = """
import sys
import cubie
import numpy as np

system = cubie.create_ode_system("dx = -k*x", states={"x": 1.0}, parameters={"k": 1.0})
solver = cubie.Solver(system, method="euler", first_step=0.25, lanes=1, device="cpu")
assert solver.solve((0.0, 1.0))["x"][-1] == 0.75**4
solver.update(first_step=0.5, rtol=1e-3)
assert np.all(solver.solve((0.0, 2.0), {"x": [1.0, 2.0, 3.0]}, {"k": 0.5})["x"][-1] == 0.75**4 * np.array([1, 2, 3]))
print(solver.n_compilations, "numba" in sys.modules, "sympy" in sys.modules)
"""


SIXTEEN: Final = f"""
import os, traceback
import cubie.targets.cpu_device  # which each would load for itself

answer, children = {ANSWER!r}, []
for _ in range(16):
    children.append(os.fork())
    if children[-1] == 0:
        try:
            exec(answer)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
assert not any(os.waitpid(child, 0)[1] for child in children)
"""


def printed_by(code: str, folder: Path) -> list[str]:
    """Run code in a new process, with its cache and its current folder inside `folder`; return the words it prints."""
    paths = os.pathsep.join(sys.path)
    settings = {**os.environ, "CUBIE_CACHE": "1", "CUBIE_CACHE_DIR": str(folder), "PYTHONPATH": paths}
    here = folder / "here"
    here.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-c", code], cwd=here, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_sixteen_processes_share_an_empty_cache_and_the_next_one_needs_no_compiler(tmp_path: Path) -> None:
    """PITFALL 22: a cache in the current folder."""
    printed_by(SIXTEEN, tmp_path)
    assert len(list((tmp_path / "kernels").iterdir())) == 1
    assert printed_by(ANSWER, tmp_path) == ["0", "False", "False"]
    assert list((tmp_path / "here").iterdir()) == []


def test_a_solver_compiles_again_what_it_can_not_load(folder: Path) -> None:
    system = create_ode_system("dx = -x", states={"x": 1.0})

    def solved() -> int:
        solver = Solver(system, method="euler", first_step=0.25, lanes=1, device="cpu")
        assert solver.solve((0.0, 1.0))["x"][-1] == 0.75**4
        return solver.n_compilations

    assert solved() == 1
    assert solved() == 0
    (path,) = cache.entries()
    cache.store(path.stem, b"\x7fELF and then nothing of the kind")
    assert solved() == 1
    assert solved() == 0
