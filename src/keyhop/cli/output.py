"""What the command line prints: results on stdout, everything else on stderr.

A table is drawn with rich on a terminal that is wide enough for it; on a narrower one, every row becomes lines of its
own, so that no URL or ID is cut. When piped, it is a line of column names and a line per row, cells separated by tabs.
JSON is the stable form for programs.
"""

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 1 << 16


def print_json(value: Any) -> None:
    """One JSON document on stdout, indented by two."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; every cell is shown as `str(cell)`, never read as markup."""
    cells = [[" ".join(_printable(str(cell)).splitlines()) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *cells):
            sys.stdout.write("\t".join(row) + "\n")
        return
    console = Console()
    table = Table(*columns)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    if console.measure(table, options=console.options.update(max_width=_UNBOUNDED)).maximum <= console.width:
        console.print(table)
    else:
        _print_records(columns, cells)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Comma-separated values on stdout (RFC 4180, with the lines of Unix, for `cut`), a line of column names first."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_printable(str(cell)) for cell in row] for row in rows)


def print_gap() -> None:
    """An empty line on stdout, between records of one command."""
    sys.stdout.write("\n")


def print_line(text: str, value: Any, *, as_json: bool) -> None:
    """A line of something that goes on, on stdout at once: as text, or as JSON of its own."""
    sys.stdout.write(f"{json.dumps(value, ensure_ascii=False) if as_json else _printable(text)}\n")
    sys.stdout.flush()


def print_note(message: str) -> None:
    """A line about progress, on stderr."""
    sys.stderr.write(f"{_printable(message)}\n")


def print_error(message: str, hint: str | None = None) -> None:
    """`error:` and, when there is one, `hint:`, on stderr. The exit code is the caller's business."""
    sys.stderr.write(f"error: {_printable(message)}\n")
    if hint:
        sys.stderr.write(f"hint: {_printable(hint)}\n")


def print_json_error(message: str, hint: str | None = None, status: int | None = None) -> None:
    """The same as one line of JSON on stderr; `status` is the HTTP code of a KME that refused."""
    sys.stderr.write(json.dumps({"error": message, "hint": hint, "status": status}) + "\n")


def _print_records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line `column  cell` per cell, and an empty one after each row; the terminal wraps what is too long."""
    width = max(map(len, columns))
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            sys.stdout.write(f"{column.ljust(width)}  {cell}".rstrip() + "\n")
        sys.stdout.write("\n")


def _printable(text: str) -> str:
    """Names come from certificates and peers: a control character must not reach the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
