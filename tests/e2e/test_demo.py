"""`keyhop demo` as a newcomer runs it, and the lines that it prints."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "keyhop", "demo"]


class Staying:
    """A demo that stays: what it has printed until it stays, and its process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self.progress = []
        for line in process.stderr:
            self.progress.append(line)
            if line.startswith("running in "):
                break
        else:
            raise AssertionError("the demo did not stay: " + "".join(self.progress))

    def leave(self) -> tuple[str, int]:
        """Ctrl-C; stdout and the exit code."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=60)
        return out, self.process.returncode


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[str]]:
    """The lab's directory, what the demo said, and the output of its lines, pasted while it stayed."""
    directory = tmp_path_factory.mktemp("demo")
    printed = directory / "stdout"
    with (
        printed.open("w") as out,
        subprocess.Popen(
            [*DEMO, "--stay", "--dir", str(directory)], stdout=out, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        staying = Staying(process)
        try:
            said = printed.read_text()
            pasted = paste(said)
        finally:
            _, code = staying.leave()
    assert code == 0, "".join(staying.progress)
    return directory, said, pasted


def paste(said: str) -> list[str]:
    by_hand = said[said.index("The same by hand") : said.index("Summary")].splitlines()[1:]
    pasted = subprocess.run(
        ["bash", "-e"], input="\n".join(by_hand), capture_output=True, text=True, timeout=60, check=False
    )
    assert pasted.returncode == 0, pasted.stderr
    return [line for line in pasted.stdout.replace("}{", "}\n{").splitlines() if line]


def test_it_shows_both_directions_and_the_figures(demo: tuple[Path, str, list[str]]) -> None:
    _, said, _ = demo
    assert said.count("identical: yes") == 2
    assert len(set(re.findall(r"key_ID ([0-9a-f-]{36})", said))) == 2
    assert "<256 bits of key>" in said
    assert re.search(r"latency +get \d+\.\d\d ms, fetch \d+\.\d\d ms", said)
    assert re.search(r"QBER 3\.\d\d %", said)
    assert "no physics" not in said


def test_the_printed_lines_work_as_they_stand(demo: tuple[Path, str, list[str]]) -> None:
    _, _, pasted = demo
    status, got, fetched = map(json.loads, pasted)
    assert status["master_SAE_ID"] == "bobsae"
    assert len(got["keys"]) == 1
    assert fetched["keys"][0]["key_ID"] == got["keys"][0]["key_ID"]
    assert fetched["keys"][0]["key"] == got["keys"][0]["key"]


def test_leaving_stops_the_nodes(demo: tuple[Path, str, list[str]]) -> None:
    directory, _, _ = demo
    lab = json.loads((directory / "lab.json").read_bytes())
    assert [kme["pid"] for kme in lab["kmes"]] == [None, None]


def test_the_plain_demo_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run(DEMO, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "all identical at both ends" in done.stdout
    assert "starting alice" in done.stderr
    assert "\x1b" not in done.stdout
    assert list(tmp_path.iterdir()) == []
