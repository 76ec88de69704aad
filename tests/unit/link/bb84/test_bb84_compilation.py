"""Everything that is compiled is compiled ahead, by whoever asks for it, and by one process at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

import keyhop.link.bb84
from keyhop.link.bb84 import compilation
from keyhop.link.bb84.compilation import WAITING, compile_once, kernel_modules, warm_up

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_every_module_with_kernels_is_compiled_ahead() -> None:
    package = Path(keyhop.link.bb84.__path__[0])
    decorated = [path for path in package.rglob("*.py") if "\n@compiled" in path.read_text()]
    names = {f"keyhop.link.bb84.{'.'.join(path.relative_to(package).with_suffix('').parts)}" for path in decorated}
    assert names <= set(kernel_modules())
    told: list[str] = []
    warm_up(told.append)
    count = len(list(kernel_modules()))
    assert told == [f"compiling, once on this machine: {number} of {count}" for number in range(1, count + 1)]


def test_the_command_says_what_it_compiles() -> None:
    ran = subprocess.run([sys.executable, "-m", "keyhop.link.bb84"], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    assert "compiling, once on this machine: 1 of" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("ready after")


def test_one_process_waits_for_another_even_if_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "not made yet" / compilation.LOCK
    monkeypatch.setattr(compilation, "_cache", lambda: lock.parent)
    compile_once()
    other = subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    told: list[str] = []

    def progress(text: str) -> None:
        if WAITING not in told:
            assert text == WAITING
            other.kill()
        told.append(text)

    with other:
        assert other.stdout.read(4) == b"held"
        compile_once(progress)
    assert told[0] == WAITING
    assert told[-1].startswith("compiling")


def test_whoever_waits_can_be_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "_cache", lambda: tmp_path)

    def stop(text: str) -> None:
        raise InterruptedError

    def compile_in_the_midst(text: str) -> None:
        with pytest.raises(InterruptedError):
            compile_once(stop)
        raise LookupError

    with pytest.raises(LookupError):
        compile_once(compile_in_the_midst)
    compile_once()


def test_where_no_lock_can_be_had_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(compilation, "_cache", lambda: tmp_path / "file")
    told: list[str] = []
    compile_once(told.append)
    assert WAITING not in told
