"""Node processes: started, recognised, ended. A small stand-in process plays the node."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyhop.lab.process import NodeProcess

PATIENCE_S = 20.0
WAIT_FOREVER = "import signal; print('up', flush=True); signal.pause()"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "node.log"


@pytest.fixture
def process(log: Path) -> Iterator[NodeProcess]:
    process = NodeProcess.spawn(("-c", WAIT_FOREVER), log)
    yield process
    process.signal(signal.SIGKILL)
    assert process.wait(PATIENCE_S)


def test_a_started_process_runs_in_a_session_of_its_own(process: NodeProcess) -> None:
    assert process.running()
    assert not process.wait(0)
    assert os.getsid(process.pid) == process.pid


def test_a_process_is_ours_from_its_first_moment(log: Path) -> None:
    for _ in range(5):
        process = NodeProcess.spawn(("-c", WAIT_FOREVER), log)
        assert process.running()  # though the kernel shows no command line of it yet, more often than not
        process.signal(signal.SIGKILL)
        assert process.wait(PATIENCE_S)


def test_waiting_ends_when_the_process_does(process: NodeProcess) -> None:
    process.signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S)
    assert not process.running()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)  # not even left as a zombie


def test_output_is_appended_to_the_log(log: Path) -> None:
    for word in ("first", "second"):
        script = f"import sys; print('{word}'); sys.exit('{word} failed')"
        assert NodeProcess.spawn(("-c", script), log).wait(PATIENCE_S)
    assert sorted(log.read_text().split("\n")[:4]) == ["first", "first failed", "second", "second failed"]


def test_another_program_under_the_number_is_not_ours_and_gets_no_signal() -> None:
    with subprocess.Popen([sys.executable, "-c", WAIT_FOREVER], stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"up\n"
        stale = NodeProcess(stranger.pid, ("-m", "keyhop", "node", "run", "--config", "/lab/nodes/alice/node.toml"))
        assert not stale.running()
        stale.signal(signal.SIGKILL)
        assert stranger.poll() is None
        stranger.kill()


def test_a_number_that_nobody_has_is_not_running(process: NodeProcess) -> None:
    process.signal(signal.SIGKILL)
    assert process.wait(PATIENCE_S)
    assert not NodeProcess(process.pid, process.arguments).running()
    process.signal(signal.SIGTERM)  # and this harms nobody
