"""Names in a directory that are there after a power cut."""

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """What has been made, renamed or linked there stays. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
