"""Who comes first on a shared machine. Linux weighs sessions against each other, and processes within theirs."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FIRST = -15


def go_first() -> str:
    """We and what we start in our session, where that is allowed; the niceness that came of it."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, FIRST)
    session_first(os.getpid())
    return str(os.getpriority(os.PRIO_PROCESS, 0))


def at_once(pid: int, cores: Iterable[int]) -> None:
    """On those cores that process runs whenever it can, where that is allowed: for one that sleeps nearly always."""
    os.sched_setaffinity(pid, cores)
    with suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


def session_first(pid: int) -> None:
    """The same for all of the session of that process, such as a node of a lab."""
    with suppress(OSError):  # not allowed, or a kernel that knows no such weights
        Path(f"/proc/{pid}/autogroup").write_text(str(FIRST))
