"""A process that a lab keeps: started by one program, found again by another, through the number in a file."""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from keyhop.lab.process import NodeProcess
from keyhop.pki.files import PUBLIC, write_file

LOG_TAIL_LINES = 15
STOP_TIMEOUT_S = 15.0


class Managed:
    """`name` is for people; `arguments` follow the interpreter; `pid_file` keeps the number of the last start."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, pid_file: Path) -> None:
        self.id = name
        self.log = log
        self._arguments = tuple(arguments)
        self._pid_file = pid_file
        self._log_start = 0

    def process(self) -> NodeProcess | None:
        """The process that was noted at its start, if it runs."""
        try:
            noted = NodeProcess(int(self._pid_file.read_text()), self._arguments)
        except (FileNotFoundError, ValueError):
            return None
        return noted if noted.running() else None

    def spawn(self) -> NodeProcess:
        """Start the process and note its number."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        process = NodeProcess.spawn(self._arguments, self.log)
        write_file(self._pid_file, f"{process.pid}\n".encode(), PUBLIC)
        return process

    def kill(self) -> None:
        """It ends with no chance to do so in order; nothing happens when it does not run."""
        process = self.process()
        if process is not None:
            process.signal(signal.SIGKILL)
            process.wait(STOP_TIMEOUT_S)

    def log_tail(self) -> str:
        """The last lines that it wrote since it was started here, or since ever when it was not."""
        try:
            lines = self.log.read_bytes()[self._log_start :].decode(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(map(_readable, lines[-LOG_TAIL_LINES:])) or "(empty)"


def stop_all(running: Sequence[Managed]) -> None:
    """Ends all of them in order, and with force those that do not end in time."""
    processes = [process for each in running if (process := each.process())]
    for process in processes:
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for process in processes:
        if not process.wait(max(0.0, deadline - time.monotonic())):
            process.signal(signal.SIGKILL)
            process.wait(STOP_TIMEOUT_S)


def _readable(line: str) -> str:
    """A line of JSON as text, for people: time, level, event, and the rest as `name=value`. Any other line as it is."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(fields, dict) or "event" not in fields:
        return line
    fields.pop("logger", None)
    first = [str(fields.pop(name)) for name in ("timestamp", "level", "event") if name in fields]
    return "  ".join([*first, *(f"{name}={value}" for name, value in fields.items())])
