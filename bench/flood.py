"""A flood on one server, by the process of `attackers.py`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from load import Target

ATTACKERS = Path(__file__).with_name("attackers.py")
END_S = 10.0


@dataclass(frozen=True, slots=True)
class Flood:
    """What `attackers.py` does: `count` connections at a time, at most `per_s` new ones a second (0: unbounded)."""

    kind: str
    count: int
    per_s: float = 0.0


class Attackers:
    """A flood that goes on; `attempts` is known when it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self.attempts = 0
        self._process = process

    def await_all(self) -> None:
        """Returns once each of them has tried. RuntimeError when they failed."""
        if self._said() != "ready":
            raise RuntimeError("the attackers failed; they said why above")

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
def attackers(flood: Flood, target: Target) -> Iterator[Attackers]:
    """They have begun; they do not outlive the block."""
    words = [flood.kind, flood.count, flood.per_s, target.port, target.ca, target.certificate, target.key]
    with subprocess.Popen(
        [sys.executable, str(ATTACKERS), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Attackers(process)
        finally:
            process.kill()
