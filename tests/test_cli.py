"""The command line: what it prints, and its exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

import cubie
from cubie.cli import FAILED, INTERRUPTED, OK, main
from cubie.targets import cache

WRONG_USAGE = 2


def test_info_tells_versions_devices_threads_and_the_cache_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == OK
    printed = capsys.readouterr().out
    for part in (f"cubie      {cubie.__version__}", "Python     3.", "numpy ", "cpu ", "threads    ", "cache      "):
        assert part in printed


def test_kept_kernels_are_counted_and_deleted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUBIE_CACHE_DIR", str(tmp_path))
    assert main(["cache"]) == OK
    monkeypatch.setenv("CUBIE_CACHE", "1")
    cache.store("a kernel", b"code" * 1024)
    for arguments in (["info"], ["cache"], ["cache", "--clear"], ["cache"]):
        assert main(arguments) == OK
    folder = tmp_path / "kernels"
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == (f"{folder} (off)", f"{folder} (0 kernels, 0 KiB)")
    assert f"cache      {folder} (1 kernel, 4 KiB)" in lines
    assert lines[-2] == f"deleted 1 kernel in {folder}"


def test_info_says_that_a_folder_which_others_may_enter_is_not_used_and_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUBIE_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CUBIE_CACHE", "1")
    cache.store("a kernel", b"code")
    folder = tmp_path / "kernels"
    folder.chmod(0o755)
    advice = f"Run 'chmod 700 {folder}' if it is yours, or set CUBIE_CACHE_DIR."
    assert main(["info"]) == OK
    assert f"cache      {folder} (not used: others may write or read it. {advice})\n" in capsys.readouterr().out


def test_clearing_leaves_folders_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUBIE_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CUBIE_CACHE", "1")
    cache.store("z", b"code")
    (tmp_path / "kernels" / "a.kernel").mkdir()
    assert main(["cache", "--clear"]) == OK
    assert [path.name for path in (tmp_path / "kernels").iterdir()] == ["a.kernel"]


def test_info_gives_the_reason_when_no_gpu_is_usable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = cubie.Device(name="cuda", kind="cuda", description="", usable=False, reason="the driver sees no GPU")
    monkeypatch.setattr("cubie.targets.devices.devices", lambda: [gpu])
    assert main(["info"]) == OK
    assert "devices    cuda    can't be used: the driver sees no GPU\n" in capsys.readouterr().out


def test_info_names_packages_that_are_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cubie.cli.PACKAGES", ("numpy", "no-such-package-at-all"))
    assert main(["info"]) == OK
    assert "no-such-package-at-all not installed" in capsys.readouterr().out


def test_demo_prints_times_and_writes_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "lorenz.png"
    assert main(["demo", "--runs", "40", "--device", "cpu", "--output", str(picture)]) == OK
    printed = capsys.readouterr().out
    for part in ("40 values of rho", "device       cpu", "method       tsit5", "first call", "second call", "runs and"):
        assert part in printed
    assert "failed runs  0\n" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments", [[], ["dmeo"], ["demo", "--runs", "0"], ["demo", "--runs", "many"], ["info", "-x"]]
)
def test_wrong_usage_has_its_own_exit_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == WRONG_USAGE
    assert "usage: cubie" in capsys.readouterr().err


def test_help_lists_commands_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, part in ((["--help"], "demo"), (["demo", "--help"], "(default: 100000)")):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == OK
        assert part in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--device", "gpu"], "cubie demo: device must be 'auto', 'cpu', 'cuda' or 'cuda:1', got 'gpu'"),
        (["--output", "no/such/folder/a.png"], "Create it, or choose another --output."),
        (["--output", "."], "--output must be a file, got the folder ."),
        (["--device", "cpu", "--runs", "10000000000000"], "must fit in"),
    ],
)
def test_expected_errors_are_one_line_without_a_traceback(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *arguments]) == FAILED
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_demo_without_matplotlib_says_so_before_it_computes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cubie.demo.importlib.util.find_spec", lambda name: None)
    assert main(["demo"]) == FAILED
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "pip install matplotlib" in printed.err


def test_an_interrupt_ends_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cubie.demo.run_demo", interrupted)
    assert main(["demo"]) == INTERRUPTED
    assert capsys.readouterr().err == "cubie demo: interrupted\n"


def test_the_command_starts_without_a_compiler() -> None:
    code = "import sys, cubie.cli\ntry: cubie.cli.main(['--help'])\nfinally: print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
