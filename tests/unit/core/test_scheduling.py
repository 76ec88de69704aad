"""What the kernel says of a thread that has asked for slices."""

import ctypes
import os
import platform
import struct
import sys
import threading

import pytest

from keyhop.core.scheduling import SHORTEST_SLICE_S, ask_for_slices

_SYS_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
_ATTR = struct.Struct("=IIQiIQQQ")
_RELEASE = (
    tuple(int(number) for number in platform.release().split("-")[0].split(".")[:2]) if sys.platform == "linux" else ()
)

pytestmark = pytest.mark.skipif(
    _RELEASE < (6, 12) or platform.machine() not in _SYS_SCHED_GETATTR, reason="Linux has such slices since 6.12"
)


def attributes() -> tuple[int, int]:
    """The niceness of the calling thread, and its slice in ns."""
    buffer = ctypes.create_string_buffer(_ATTR.size)
    number = _SYS_SCHED_GETATTR[platform.machine()]
    assert ctypes.CDLL(None).syscall(number, 0, buffer, _ATTR.size, 0) == 0
    fields = _ATTR.unpack(buffer.raw)
    return fields[3], fields[5]


def test_a_thread_gets_the_slices_that_it_asks_for_and_stays_as_nice_as_it_is() -> None:
    seen = []
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + 2

    def ask() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        for slice_s in (0.006, SHORTEST_SLICE_S):
            ask_for_slices(slice_s)
            seen.append(attributes())

    before = attributes()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen == [(niceness, 6_000_000), (niceness, 100_000)]
    assert attributes() == before
