"""What a node asks of its operating system.

Its memory is full of keys: nobody else may look into it, and it is never written to a file. Its sockets are many: the
usual soft limit of open files would let a few clients shut out all others.
"""

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h


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
