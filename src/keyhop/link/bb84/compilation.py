"""Compiles everything that is to be compiled: once per machine, then it is on disk."""

import fcntl
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import keyhop.link.bb84

LOCK = "keyhop-bb84.lock"
POLL_S = 0.2
WAITING = "waiting: another node of this machine compiles"

_SUFFIX = "_kernels"

type Progress = Callable[[str], None]
"""Takes what is done now, for people. What it raises ends the compiling, between two modules."""


def kernel_modules() -> Iterator[str]:
    """Names of the modules that hold kernels; each has a function `warm_up`."""
    for module in pkgutil.walk_packages(keyhop.link.bb84.__path__, "keyhop.link.bb84."):
        if module.name.endswith(_SUFFIX):
            yield module.name


def compile_once(progress: Progress = lambda text: None) -> None:
    """Like `warm_up`, but one process of this machine after the other: the second finds on disk what the first
    compiled, instead of sharing the processor with it to compile the same.

    A process that ends in the midst of it lets the next one go on. Where no lock can be had nobody waits.
    """
    with _alone(_cache() / LOCK, lambda: progress(WAITING)):
        warm_up(progress)


def warm_up(progress: Progress = lambda text: None) -> None:
    """Calls every kernel once."""
    names = sorted(kernel_modules())
    for number, name in enumerate(names, 1):
        progress(f"compiling, once on this machine: {number} of {len(names)}")
        importlib.import_module(name).warm_up()


def _cache() -> Path:
    """Where numba keeps what it compiles: beside the sources; where they cannot be written, with the user."""
    kernel = importlib.import_module("keyhop.link.bb84.sifting.sifting_kernels").encode_gaps
    return Path(kernel.stats.cache_path)


@contextmanager
def _alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError:
        yield
        return
    with file:  # closing it, in a crash too, releases the lock
        while not _locked(file):
            waiting()
            time.sleep(POLL_S)
        yield


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True
