"""`keyhop audit`: whether a node's audit log is whole, and which SAE was given which keys."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from keyhop.audit.files import MAX_LINE_BYTES, numbers_in, path_of
from keyhop.audit.records import HandedOver, KeyRow, record_of, rows_of
from keyhop.audit.verification import Verdict, Verification
from keyhop.cli.output import print_csv, print_json, print_line, print_table
from keyhop.core.errors import ConfigurationError, KeyhopError
from keyhop.core.ids import key_id_from_text

app = typer.Typer(help="Verify and export the audit log of a node.", no_args_is_help=True)

Directory = Annotated[
    Path,
    typer.Argument(
        metavar="DIRECTORY", help="The log's directory: data/audit, unless the configuration says otherwise."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="Print JSON.")]


@app.command()
def verify(
    directory: Directory,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", help="A seal, kept elsewhere, that the log must hold; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the whole log and say whether anything in it was altered, lost or cut off. Exit code 1 if so."""
    for seal in anchor or ():
        if not re.fullmatch("[0-9a-f]{64}", seal):
            raise ConfigurationError(
                f"{seal} is not a seal",
                hint="it has 64 hexadecimal digits: `head` in /v1/audit, or in the log of the node",
            )
    _numbers_in(directory)
    verdict = Verification(directory, frozenset(anchor or ())).run()
    if as_json:
        print_json({**msgspec.to_builtins(verdict), "whole": verdict.whole})
    else:
        _print_verdict(verdict)
    if not verdict.whole:
        first = verdict.problems[0]
        where = f"{first.file}, line {first.line}" if first.line else first.file
        raise KeyhopError(f"the log is not whole: {where}: {first.what}", hint="see docs/reference/audit.md")


@app.command()
def export(
    directory: Directory,
    since: Annotated[str | None, typer.Option("--since", help="From this time on, RFC 3339; UTC if not said.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this time.")] = None,
    sae: Annotated[str | None, typer.Option("--sae", help="Only keys that this SAE was given.")] = None,
    key_id: Annotated[str | None, typer.Option("--key-id", help="Only this key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="A line of JSON for each key.")] = False,
) -> None:
    """Print a row for each key that an SAE was given, as CSV. It checks nothing: run `verify` first."""
    wanted = None if key_id is None else key_id_from_text(key_id).hex()
    begin, end, numbers = _time(since), _time(until), _numbers_in(directory)
    rows = (
        row
        for handed in _handed_over(directory, numbers)
        if (begin is None or handed.time >= begin)
        and (end is None or handed.time < end)
        and sae in (None, handed.sae)
        and (wanted is None or any(wanted in keys.ids for keys in handed.keys))
        for row in rows_of(handed)
        if wanted is None or row.key_id.replace("-", "") == wanted
    )
    if as_json:
        for row in rows:
            print_line("", row._asdict(), as_json=True)
    else:
        print_csv(KeyRow._fields, ([" ".join(c) if isinstance(c, tuple) else c for c in row] for row in rows))


def _numbers_in(directory: Path) -> list[int]:
    if numbers := numbers_in(directory):
        return numbers
    raise ConfigurationError(
        f"there is no audit log in {directory}", hint="its files are audit-00000001.jsonl and so on"
    )


def _handed_over(directory: Path, numbers: list[int]) -> Iterator[HandedOver]:
    for number in numbers:
        with path_of(directory, number).open("rb") as file:
            for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
                if isinstance(record := record_of(line), HandedOver):
                    yield record


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text} is not a time", hint="such as 2026-01-31T12:00:00Z or 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print_verdict(verdict: Verdict) -> None:
    last = verdict.records - 1 if verdict.records > verdict.first_record else "-"
    print_table(
        ("field", "value"),
        [
            ("kme", verdict.kme or "-"),
            ("files", verdict.files),
            ("first file", verdict.first_file),
            ("records", verdict.records - verdict.first_record),
            ("last record", last),
            ("head", verdict.head),
            ("begun after a cut write", " ".join(verdict.cut_short) or "-"),
            ("whole", "yes" if verdict.whole else "no"),
        ],
    )
    if verdict.problems:
        print_table(
            ("file", "line", "problem"), [(problem.file, problem.line, problem.what) for problem in verdict.problems]
        )
