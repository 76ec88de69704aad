"""python -m keyhop.link.bb84: compiles the kernels, so that the first node to start need not."""

import sys
import time

from keyhop.link.bb84.compilation import warm_up


def main() -> None:
    """Says what it does on stderr."""
    started_s = time.monotonic()
    warm_up(lambda module: _say(f"compiling {module.rpartition('.')[2]}"))
    _say(f"ready after {time.monotonic() - started_s:.1f} s")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
