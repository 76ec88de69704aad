"""Who comes first on a shared machine. Linux weighs sessions against each other, and processes within theirs."""

import os
from contextlib import suppress
from pathlib import Path

FIRST = -15


def go_first() -> str:
    """We and what we start in our session, where that is allowed; the niceness that came of it."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, FIRST)
    session_first(os.getpid())
    return str(os.getpriority(os.PRIO_PROCESS, 0))


def session_first(pid: int) -> None:
    """The same for all of the session of that process, such as a node of a lab."""
    with suppress(OSError):  # not allowed, or a kernel that knows no such weights
        Path(f"/proc/{pid}/autogroup").write_text(str(FIRST))
