"""What a node asks of its operating system and of its interpreter.

Its memory is full of keys: nobody else may look into it, and it is never written to a file. Its sockets are many: the
usual soft limit of open files would let a few clients shut out all others.
"""

import ctypes
import gc
import os
import platform
import resource
import struct
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_SYS_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # glibc knows it by name since 2.41
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")  # linux/sched/types.h: size, policy, flags, nice, priority, runtime, ...
_SLICE_NS = 100_000


def keep_memory_private() -> None:
    """No core dump, and no debugger of the same user (Linux). Swap must be off or encrypted: that is the machine's."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # The limit alone does not stop a core_pattern that is a program.
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def allow_all_files() -> None:
    """Raises the soft limit of open files and sockets to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def wake_first() -> None:
    """Called on the event loop's thread: when something comes for it, threads of ours that compute give way at once.

    Linux lets a thread go on for some milliseconds although a more urgent one has woken, unless that one has asked for
    shorter slices (since 6.12; an older kernel takes no notice). Nobody gets a larger share of the CPU by that.
    """
    number = _SYS_SCHED_SETATTR.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        wanted = _SCHED_ATTR.pack(_SCHED_ATTR.size, os.SCHED_OTHER, 0, niceness, 0, _SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, wanted, 0)


def keep_collections_short() -> None:
    """Called once the node runs: what there is by now stays, and no collection looks through it again.

    Requests leave nothing to collect, so all that collections would do is to stop the node while they look.
    """
    gc.collect()
    gc.freeze()
