"""The links of the papers, ours beside theirs: .venv/bin/python bench/links.py [--seconds S] [--only NAME,NAME]

Each shipped topology runs as two real nodes in real time. A link whose detections this machine cannot simulate in
real time skips slots; then its rate is also printed per second that was simulated, which is what the papers' rates are.
"""

import argparse
from dataclasses import dataclass

from keyhop.lab import load_topology
from link_lab import LinkRun, watch
from progress import say


@dataclass(frozen=True, slots=True)
class Published:
    """A link as its paper has it; None where the paper says nothing."""

    what: str
    secret_bps: float | None
    qber: float | None


PAPERS = {
    "two-sites": Published("Wells Fargo, 140 m", 726e3, 0.0322),
    "cablelabs": Published("CableLabs, 25 km", None, None),
    "toshiba-toronto-1": Published("Toshiba, 0 dB", 3.95e6, 0.026),
    "toshiba-toronto-2": Published("Toshiba, 0 dB", 2.89e6, 0.032),
    "toshiba-cambridge-1": Published("Toshiba, 10 dB", 352e3, 0.030),
    "toshiba-cambridge-2": Published("Toshiba, 10 dB", 741e3, 0.024),
}
COLUMNS = ("topology", "link", "theirs kbit/s", "ours", "ratio", "simulated", "QBER theirs", "ours", "f", "cores")


def main() -> None:
    """Prints a row for each link as soon as it is measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="to watch each link (default 20)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PAPERS), help=", ".join(PAPERS))
    options = parser.parse_args()
    _print_row(COLUMNS)
    for name in options.only:
        topology = load_topology(name)
        clock_hz = float(topology.links[0].options["source"]["clock_hz"])
        ours = watch(topology, clock_hz, options.seconds, say)
        say("")
        _print_row(_row(name, PAPERS[name], ours))


def _row(name: str, theirs: Published, ours: LinkRun) -> tuple[str, ...]:
    secret_bps = ours.secret_bps / max(ours.simulated, 1e-9)
    return (
        name,
        theirs.what,
        "-" if theirs.secret_bps is None else f"{theirs.secret_bps / 1e3:.0f}",
        f"{secret_bps / 1e3:.0f}",
        "-" if theirs.secret_bps is None else f"{secret_bps / theirs.secret_bps:.3f}",
        f"{ours.simulated:.0%}",
        "-" if theirs.qber is None else f"{theirs.qber:.2%}",
        f"{ours.qber:.2%}",
        f"{ours.efficiency:.3f}",
        f"{ours.cores:.2f}",
    )


def _print_row(cells: tuple[str, ...]) -> None:
    widths = (20, 19, 14, 8, 6, 10, 12, 7, 6, 6)
    print("".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    main()
