"""How fast two nodes hand out keys over ETSI GS QKD 014, beside nginx with static files of the same size.

    bench/etsi014.py [--quick] [--only PART,PART] [--seconds S] [--connections 1,16,64] [--soak N] [--json FILE]

See README.md here for what it prints. It ends by itself and leaves nothing behind.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import delivery_soak
from delivery_audit import audit
from delivery_closed import CROWD, batches, single
from delivery_new import new_connections
from delivery_open import open_loop
from keyhop.core.errors import KeyhopError
from load import LoadGenerator
from nginx import version
from priority import go_first
from progress import say
from report import Report, Section
from servers import SLOW_LINE, Line, servers

PARTS = ("single", "open", "new", "batches", "audit")
FAST_LINE = Line(100_000_000, 262_144)
MAX_SECONDS = 5.0


def sections(options: argparse.Namespace, generator: LoadGenerator, directory: Path) -> Iterator[Section]:
    """Everything that was asked for."""
    connections, seconds, only = options.connections, options.seconds, options.only
    if {"single", "open", "new"} & set(only):
        with servers(generator, directory / "single", SLOW_LINE) as here:
            if "single" in only:
                yield single(here, connections, seconds)
            if "open" in only:
                yield open_loop(here, seconds)
            if "new" in only:
                yield new_connections(here, seconds)
    if "batches" in only:
        with servers(generator, directory / "batches", FAST_LINE) as here:
            yield batches(here, connections, seconds)
    if "audit" in only:
        yield audit(generator, directory / "audit", seconds)
    if options.soak:
        yield delivery_soak.soak(generator, directory / "soak", options.soak)


def main() -> int:
    """The command."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is ended
    nice = go_first()
    try:
        with tempfile.TemporaryDirectory(prefix="keyhop-bench-") as directory:
            generator = LoadGenerator(Path(directory))
            report = Report(nginx=version(), nice=nice, seconds=f"{options.seconds:g}")
            for section in sections(options, generator, Path(directory)):
                say("")
                report.add(section)
    except (KeyhopError, RuntimeError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    report.end(options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help=f"half a second a round, with 1 and {CROWD} connections")
    parser.add_argument("--only", type=_names, default=list(PARTS), help=f"of {', '.join(PARTS)}; or none")
    parser.add_argument("--seconds", type=float, help=f"per round, at most {MAX_SECONDS:g} (default 2)")
    parser.add_argument("--connections", type=_counts, help="comma-separated, each 1 to 100 (default 1,16,64)")
    parser.add_argument("--soak", type=float, default=0, metavar="N", help="watch memory over so many requests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 0.5 if options.quick else 2.0
    if options.connections is None:
        options.connections = [1, CROWD] if options.quick else [1, 16, CROWD]
    if not 0.1 <= options.seconds <= MAX_SECONDS:
        parser.error(f"--seconds must be 0.1 to {MAX_SECONDS:g}")
    return options


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not {*names} <= {*PARTS, "none"}:
        raise ValueError
    return names


def _counts(text: str) -> list[int]:
    counts = [int(word) for word in text.split(",")]
    if not all(1 <= count <= 100 for count in counts):
        raise ValueError
    return counts


if __name__ == "__main__":
    sys.exit(main())
