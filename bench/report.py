"""What a benchmark says: sections with a table each, as soon as they are measured; the aims at the end; all as JSON."""

import os
import platform
import ssl
from pathlib import Path

import msgspec

from keyhop.cli.output import print_table

type Value = str | float | None
type Row = dict[str, Value]


class Aim(msgspec.Struct, frozen=True):
    """What was promised and what came of it; `measured` is None where it was left out."""

    name: str
    measured: float | None
    aim: float
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """In words."""
        if self.measured is None:
            return "not measured"
        return "met" if (self.measured >= self.aim if self.at_least else self.measured <= self.aim) else "missed"


class Section(msgspec.Struct, frozen=True):
    """Rows have the same columns each; `notes` are sentences under the table."""

    title: str
    rows: list[Row]
    aims: list[Aim]
    notes: list[str] = []


class Report:
    """A whole run."""

    def __init__(self, **machine: str) -> None:
        """`machine` is what the figures depend on, apart from what every run says of itself."""
        self._machine = {
            "cores": str(os.cpu_count()),
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION,
            **machine,
        }
        self._sections: list[Section] = []
        print(", ".join(f"{name} {value}" for name, value in self._machine.items()))

    def add(self, section: Section) -> None:
        """Print it and keep it."""
        self._sections.append(section)
        print(f"\n{section.title}")
        if section.rows:
            print_table(list(section.rows[0]), [[_text(*cell) for cell in row.items()] for row in section.rows])
        for note in section.notes:
            print(note)

    def end(self, path: Path | None) -> None:
        """Print the aims, and write everything to `path`."""
        print()
        aims = [aim for section in self._sections for aim in section.aims]
        for aim in aims:
            bound = "at least" if aim.at_least else "at most"
            print(f"{aim.name}: {_number(aim.measured)} (aim {bound} {_number(aim.aim)}): {aim.verdict}")
        if path:
            verdicts = {aim.name: aim.verdict for aim in aims}
            document = {"machine": self._machine, "sections": self._sections, "verdicts": verdicts}
            path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _text(column: str, value: Value) -> str:
    if column in {"stolen", "neighbours"} and isinstance(value, float):
        return f"{value:.0%}"
    return value if isinstance(value, str) else _number(value)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
