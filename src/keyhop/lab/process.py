"""One node process of a lab: start it, recognise it again from its number, end it.

A process number alone proves nothing, since the kernel uses numbers again. So a process is held by a pidfd,
and is ours only while its command line is the one that we started; signals go through the same pidfd.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SETTLING_S = 5.0  # only a kernel thread, under a number that was ours, takes so long
_children: set[int] = set()


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A process by number and by its arguments (after the interpreter), running or not."""

    pid: int
    arguments: tuple[str, ...]

    @classmethod
    def spawn(cls, arguments: tuple[str, ...], log: Path) -> Self:
        """Start the interpreter in a session of its own: it outlives us, and misses our Ctrl-C."""
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        _children.add(pid)
        return cls(pid, arguments)

    def running(self) -> bool:
        """Whether this very process runs."""
        return not self.wait(0)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended needs none."""
        with self._held() as pidfd:
            if pidfd is not None:
                signal.pidfd_send_signal(pidfd, number)

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, waiting for that at most `timeout_s` seconds."""
        with self._held() as pidfd:
            return pidfd is None or _ends(pidfd, timeout_s)

    @contextmanager
    def _held(self) -> Iterator[int | None]:
        """A pidfd while it runs, else None."""
        _collect_ended_children()
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:
            yield None
            return
        try:
            yield pidfd if _settled_command_line(self.pid, pidfd)[1:] == self.arguments else None
        finally:
            os.close(pidfd)
            _collect_ended_children()


def _ends(pidfd: int, timeout_s: float) -> bool:
    ending = select.poll()
    ending.register(pidfd, select.POLLIN)
    return bool(ending.poll(timeout_s * 1000))


def _settled_command_line(pid: int, pidfd: int) -> tuple[str, ...]:
    """Its words; none only once it has ended.

    A process has no words for a moment while it starts, and again while it ends, when it may still hold the ports
    and files that its successor needs.
    """
    deadline = time.monotonic() + _SETTLING_S
    while not (words := _command_line(pid)) and not _ends(pidfd, 0.005) and time.monotonic() < deadline:
        pass
    return words


def _command_line(pid: int) -> tuple[str, ...]:
    """Its words as they are now."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ()
    return tuple(map(os.fsdecode, words[:-1]))


def _collect_ended_children() -> None:
    """Take the ended ones among the processes that we started off the kernel's list."""
    for pid in tuple(_children):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # collected by somebody else, a signal handler say
            ended = pid
        if ended:
            _children.discard(pid)
