"""The files of a log: `audit-00000001.jsonl` and so on, each beginning with a line that joins it to the one before."""

import re
from pathlib import Path

import msgspec

FORMAT = 1
MAX_LINE_BYTES = 8 << 20
"""Longer lines are never written: the largest request has 65,536 IDs of 32 digits."""
_NAME = re.compile(r"audit-(\d{8})\.jsonl")


class Beginning(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The first line of a file."""

    begin: int
    """The version of the format, `FORMAT`."""
    kme: str
    file: int
    """The number in the file's name."""
    time: str
    previous: str
    """The last seal before this file, in hexadecimal; zeros at the beginning of a log."""
    records: int
    """How many records came before: the number of the first one here."""
    unsealed_bytes: int = 0
    """How much there is after `previous` that no seal vouches for: a crash left it."""
    unsealed_sha256: str | None = None
    """The hash of that."""

    def line(self) -> bytes:
        """As it is written, its end included."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "Beginning | None":
        """What a line says, or None when it is not the first line of any file."""
        try:
            beginning = msgspec.json.decode(line, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        is_seal = re.fullmatch(r"[0-9a-f]{64}", beginning.previous, re.ASCII)
        return beginning if is_seal and beginning.line() == line else None


def path_of(directory: Path, number: int) -> Path:
    """The file of that number."""
    return directory / f"audit-{number:08d}.jsonl"


def numbers_in(directory: Path) -> list[int]:
    """The numbers of the files that are there, in their order."""
    return sorted(int(match[1]) for path in directory.iterdir() if (match := _NAME.fullmatch(path.name)))
