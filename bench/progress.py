"""Progress of a benchmark, on stderr."""

import sys
import time


def say(message: str) -> None:
    """On a terminal one line that is written over, and cleared by an empty message; else a line with the time."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{message}")
    elif message:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {message}\n")
    sys.stderr.flush()
