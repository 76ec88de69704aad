"""python -m keyhop.link.bb84: compiles the kernels, so that the first node to start need not."""

import sys
import time

from keyhop.link.bb84.compilation import compile_once


def main() -> None:
    """Says what it does on stderr."""
    started_s = time.monotonic()
    compile_once(_say)
    _say(f"ready after {time.monotonic() - started_s:.1f} s")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
