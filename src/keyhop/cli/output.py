"""What the command line prints: results on stdout, everything else on stderr.

A table is drawn with rich on a terminal and is plain aligned text when piped, so that `awk` and `cut` work.
JSON is the stable form for programs.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(value: Any) -> None:
    """One JSON document on stdout, indented by two."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; every cell is shown as `str(cell)`, never read as markup."""
    cells = [[_printable(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _print_plain([list(columns), *cells])
        return
    table = Table(*columns)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_note(message: str) -> None:
    """A line about progress, on stderr."""
    sys.stderr.write(f"{_printable(message)}\n")


def print_error(message: str, hint: str | None = None) -> None:
    """`error:` and, when there is one, `hint:`, on stderr. The exit code is the caller's business."""
    sys.stderr.write(f"error: {_printable(message)}\n")
    if hint:
        sys.stderr.write(f"hint: {_printable(hint)}\n")


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _printable(text: str) -> str:
    """Names come from certificates and peers: a control character must not reach the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
