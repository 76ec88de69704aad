"""What the kernel says of a node's process."""

import subprocess
import sys

import pytest

_PROBE = """
import ctypes, resource
from keyhop.node.process import keep_memory_private
libc = ctypes.CDLL(None)
before = libc.prctl(3, 0, 0, 0, 0)
keep_memory_private()
print(before, libc.prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_it_can_be_neither_dumped_nor_looked_into() -> None:
    probed = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=20)
    assert probed.stdout.split() == ["1", "0", "0", "0"]


_FILES = """
import resource
from keyhop.node.process import allow_all_files
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
allow_all_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))
"""


def test_it_may_open_as_many_files_as_it_is_allowed_to() -> None:
    probed = subprocess.run([sys.executable, "-c", _FILES], capture_output=True, text=True, check=True, timeout=20)
    assert probed.stdout.strip() == "True"


_COLLECTIONS = """
import gc
import keyhop.node.daemon
from keyhop.node.process import keep_collections_short
before = len(gc.get_objects())
keep_collections_short()
print(len(gc.get_objects()) < before / 100, gc.isenabled())
"""


def test_collections_look_only_through_what_came_later() -> None:
    command = [sys.executable, "-c", _COLLECTIONS]
    probed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert probed.stdout.split() == ["True", "True"]
