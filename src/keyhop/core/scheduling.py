"""Which of a process's threads has the core that they share: what a thread asks of Linux's scheduler.

Linux gives CPU time in slices. When a thread wakes, the one that runs goes on for some milliseconds all the same,
unless it has longer slices; and a thread that gives way forgoes the rest of its slice, as if it had used it. So an
urgent thread asks for short slices, and one that can wait for long ones: it gives way while it holds nothing that
others wait for, and is not back soon unless the core is idle.

A great niceness would do that as well. But a thread that is stopped while it holds the interpreter's lock stops all of
them, and where strangers want the core too, a very nice thread is stopped for long, wherever it is.

Linux has slices of one's own since 6.12, and forgoes them since 6.18; an older one takes no notice.
"""

import ctypes
import os
import platform
import struct
import sys

SHORTEST_SLICE_S = 0.0001
_SYS_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # glibc knows it by name since 2.41
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")  # linux/sched/types.h: size, policy, flags, nice, priority, runtime, ...
_NS_PER_S = 1_000_000_000


def ask_for_slices(length_s: float) -> None:
    """For the calling thread and those that it starts, up to 0.1 s. Its share of the CPU stays what it is."""
    number = _SYS_SCHED_SETATTR.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        length_ns = round(length_s * _NS_PER_S)
        wanted = _SCHED_ATTR.pack(_SCHED_ATTR.size, os.SCHED_OTHER, 0, niceness, 0, length_ns, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, wanted, 0)


def give_way() -> None:
    """Whoever else wants the core has it first."""
    os.sched_yield()
