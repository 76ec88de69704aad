"""Node processes that start at once: forked from a process that has imported everything a node needs.

A node that is started this way has its own sockets, its own files and its own number to be killed by, as any other; it
only skips the interpreter's start and the imports. As a program this is the process that forks: it reads lines
`CONFIG<TAB>LOG` and answers each with the number of a new process.
"""

import gc
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from keyhop.core.errors import KeyhopError

ENDED_S = 20.0


class ForkedNode:
    """A node process, held by a pidfd."""

    def __init__(self, pid: int) -> None:
        self._pidfd = os.pidfd_open(pid)

    def ended(self, timeout_s: float = 0.0) -> bool:
        """Whether it has ended, waiting for that at most so long."""
        return bool(select.select([self._pidfd], [], [], timeout_s)[0])

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal; one that has ended needs none."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def end(self, number: signal.Signals) -> None:
        """Sends the signal and waits until the process is gone, its sockets and locks with it."""
        self.send(number)
        assert self.ended(ENDED_S), "a node does not end"
        os.close(self._pidfd)


class Zygote:
    """The process that is forked, as others see it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin
        assert process.stdout
        self._requests, self._answers = process.stdin, process.stdout

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """It ends with the block; its nodes do not."""
        command = [sys.executable, __file__]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield cls(process)

    def start(self, config: Path, log: Path) -> ForkedNode:
        """A new node of that configuration."""
        self._requests.write(f"{config}\t{log}\n")
        self._requests.flush()
        return ForkedNode(int(self._answers.readline()))


def _main() -> None:
    import keyhop.node.daemon

    gc.collect()
    gc.freeze()  # what is imported stays shared with the nodes
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how nodes that were killed ended
    while line := sys.stdin.readline():
        config, log = map(Path, line.rstrip("\n").split("\t"))
        pid = os.fork()
        if pid == 0:
            _become_node(log)
            try:
                status = keyhop.node.daemon.run(config)
            except KeyhopError as failure:
                sys.stderr.write(f"error: {failure.message}\n")
                status = 1
            sys.stderr.flush()
            os._exit(status)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become_node(log: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(written, number)


if __name__ == "__main__":
    _main()
