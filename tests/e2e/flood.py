"""A flood on one server, by the process of `attackers.py`; for the test and for bench/floods.py."""

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from callers import Caller

ATTACKERS = Path(__file__).with_name("attackers.py")
HEIGHT_S = 60.0
END_S = 10.0


@dataclass(frozen=True, slots=True)
class Flood:
    """What `attackers.py` does: `count` connections at a time, at most `per_s` new ones a second (0: unbounded).

    It is at its height when each has been tried `rounds` times, on average.
    """

    kind: str
    count: int
    per_s: float = 0.0
    rounds: int = 1


class Attackers:
    """A flood that goes on; `attempts` is known when it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self.attempts = 0
        self._process = process

    def await_height(self) -> None:
        """RuntimeError when they failed, or the server did not let them go on."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout.fileno()], [], [], HEIGHT_S)
        if not readable or self._said() != "ready":
            raise RuntimeError("the attackers failed, or the server held them all")

    def end(self) -> None:
        """No more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.attempts = int(self._said() or 0)
        self._process.wait(END_S)

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def attackers(flood: Flood, caller: Caller) -> Iterator[Attackers]:
    """They have begun; they do not outlive the block."""
    _, port = caller.address
    words = [flood.kind, flood.count, flood.per_s, flood.count * flood.rounds, port, caller.ca, caller.cert, caller.key]
    with subprocess.Popen(
        [sys.executable, str(ATTACKERS), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Attackers(process)
        finally:
            process.kill()
