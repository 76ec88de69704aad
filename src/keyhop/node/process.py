"""What a node asks of its operating system and of its interpreter.

Its memory is full of keys: nobody else may look into it, and it is never written to a file. Its sockets are many: the
usual soft limit of open files would let a few clients shut out all others.
"""

import ctypes
import gc
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


def keep_collections_short() -> None:
    """Called once the node runs: what there is by now stays, and no collection looks through it again.

    Requests leave nothing to collect, so all that collections would do is to stop the node while they look.
    """
    gc.collect()
    gc.freeze()
