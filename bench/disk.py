"""How long the disk takes to make a little data durable: what every dec_keys waits for at least."""

import os
import time
from pathlib import Path
from statistics import median

WRITES = 50
WRITE_BYTES = 4096


def fdatasync_ms(directory: Path) -> float:
    """The median of appending 4 KiB to a file there and fdatasync, in milliseconds."""
    times = []
    path = directory / "fdatasync"
    with path.open("wb", buffering=0) as file:
        for _ in range(WRITES):
            begin = time.perf_counter()
            file.write(bytes(WRITE_BYTES))
            os.fdatasync(file.fileno())
            times.append(1e3 * (time.perf_counter() - begin))
    path.unlink()
    return median(times)
