"""A stand-in for a QKD device that knows no interface but files: the same keys, into a directory at each site.

    python -m keyhop.lab.file_device RATE_BPS FILE_BYTES DIR DIR

Each file is written beside its final name and renamed, so that nobody finds half of one; names rise with time. While
a directory is full of files that nobody takes, nothing more is written.
"""

import os
import secrets
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from keyhop.lab.layout import Layout
from keyhop.lab.managed import Managed
from keyhop.lab.topology import Link

MAX_WAITING = 256


def file_device(layout: Layout, link: Link) -> Managed:
    """The device process of a link of kind files."""
    directories = [str(layout.key_files(link.id, kme)) for kme in link.ends]
    arguments = ["-m", __name__, str(link.device.rate_bps), str(link.device.file_bytes), *directories]
    return Managed(f"device of {link.id}", arguments, layout.device_log(link.id), layout.device_pid(link.id))


def write_key(name: str, key: bytes, directories: list[Path]) -> None:
    """One key at every site, readable by this user only."""
    for directory in directories:
        unfinished = directory / f"{name}.part"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(directory / f"{name}.key")


def run(rate_bps: float, file_bytes: int, directories: list[Path]) -> None:
    """Writes until the process is ended."""
    for directory in directories:
        for unfinished in directory.glob("*.part"):  # of a life that was cut short
            unfinished.unlink()
    interval_s = 8 * file_bytes / rate_bps
    while True:
        if all(sum(1 for _ in directory.iterdir()) < MAX_WAITING for directory in directories):
            write_key(f"{time.time_ns():020}", secrets.token_bytes(file_bytes), directories)
        time.sleep(interval_s)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    rate_text, size_text, *sites = sys.argv[1:]
    run(float(rate_text), int(size_text), [Path(site) for site in sites])
