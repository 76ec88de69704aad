"""Is a log whole? Reads it once, in the order in which it was written, with bounded memory.

Whatever a seal vouches for and was altered since is found, up to whoever rewrites everything that follows too: against
that help seals that were kept elsewhere (`anchors`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from keyhop.audit.chain import GENESIS, Follower
from keyhop.audit.ending import unsealed
from keyhop.audit.files import MAX_LINE_BYTES, Beginning, numbers_in, path_of
from keyhop.audit.records import record_of

MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the log should not hold, or should; `line` counts from 1, 0 for the file as a whole."""

    file: str
    line: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What the log holds, and what is wrong with it."""

    kme: str | None = None
    files: int = 0
    first_file: int = 0
    first_record: int = 0
    records: int = 0
    """The number that the next record will have."""
    head: str = GENESIS.hex()
    cut_short: list[str] = field(default_factory=list)
    """Files that begin after a crash which cut a write short; what it left is there, as it was."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Verification:
    """Goes through the files of one log."""

    def __init__(self, directory: Path, anchors: frozenset[str] = frozenset()) -> None:
        """`anchors` are seals in hexadecimal that the log must hold."""
        self._directory = directory
        self._missing = set(anchors)
        self._verdict = Verdict()
        self._head = GENESIS
        self._loose: list[tuple[Path, int]] = []
        """What no seal vouches for so far: files, and from which byte on."""
        self._misfits = 0

    def run(self, progress: Callable[[int], None] = lambda size: None) -> Verdict:
        """The verdict; `progress` is told how many bytes were read. Raises OSError."""
        numbers = numbers_in(self._directory)
        verdict = self._verdict
        verdict.files, verdict.first_file = len(numbers), numbers[0] if numbers else 0
        for before, number in zip([None, *numbers], numbers, strict=False):
            if before is not None and number != before + 1:
                self._problem(path_of(self._directory, number), 0, f"file {before + 1} is missing")
            self._read(number)
            progress(path_of(self._directory, number).stat().st_size)
        if not numbers:
            verdict.problems.append(Problem(str(self._directory), 0, "there is no file of an audit log"))
        if self._loose and not self._misfits:
            self._tell_of_open_end()
        for anchor in sorted(self._missing):
            what = f"the log does not hold the seal {anchor}: its end was cut off, or it was written anew"
            if verdict.first_file > 1:
                what += f"; or that seal is from before file {verdict.first_file}"
            verdict.problems.append(Problem(str(self._directory), 0, what))
        verdict.head = self._head.hex()
        return verdict

    def _read(self, number: int) -> None:
        path = path_of(self._directory, number)
        with path.open("rb") as file:
            first = file.readline(MAX_LINE_BYTES)
            beginning = Beginning.of(first)
            if beginning is not None:
                self._check_beginning(path, number, beginning)
            follower = Follower(self._head)
            rest = iter(lambda: file.readline(MAX_LINE_BYTES), b"")
            sealed = self._follow(path, follower, chain([first] if first else [], rest), beginning is not None)
        if follower.unsealed_bytes:
            self._loose.append((path, sealed))

    def _follow(self, path: Path, follower: Follower, lines: Iterable[bytes], begun: bool) -> int:
        """Reads one file; returns where its last seal that fits ends."""
        at = sealed = 0
        seq, suspect = self._verdict.records, None if begun else (1, "no first line of a file")
        for number, line in enumerate(lines, 1):
            at += len(line)
            misfits = follower.misfits
            if follower.feed(line):
                if suspect:
                    self._problem(path, *suspect)
                self._sealed(follower.head, seq)
                sealed, suspect = at, None
            elif follower.misfits > misfits:
                if not misfits:
                    self._problem(path, number, "the seal does not fit: what it seals was altered, or lost in part")
                self._misfits += 1
            elif number > 1 or not begun:
                record = record_of(line)
                if record is None or record.seq != seq:
                    suspect = suspect or (number, "no record" if record is None else f"not record {seq}")
                seq += 1
        return sealed

    def _sealed(self, head: bytes, records: int) -> None:
        self._head, self._verdict.records = head, records
        self._missing.discard(head.hex())
        self._loose.clear()
        self._misfits = 0

    def _check_beginning(self, path: Path, number: int, beginning: Beginning) -> None:
        verdict = self._verdict
        if number == verdict.first_file > 1:  # what came before is not there to be checked
            self._head = bytes.fromhex(beginning.previous)
            verdict.first_record = verdict.records = beginning.records
            self._missing.discard(beginning.previous)
        verdict.kme = verdict.kme or beginning.kme
        left = unsealed(self._loose, self._misfits) if self._loose else None
        told = (beginning.unsealed_bytes, beginning.unsealed_sha256)
        if told != ((left.size_bytes, left.sha256) if left else (0, None)) and number > verdict.first_file:
            self._problem(path, 1, "what lies between the last seal and this file is not what the file says")
        elif beginning.unsealed_bytes:
            verdict.cut_short.append(path.name)
        if (beginning.file, beginning.kme, beginning.records) != (number, verdict.kme, verdict.records):
            self._problem(path, 1, "the first line is that of another file or log")
        if bytes.fromhex(beginning.previous) != self._head:
            self._problem(path, 1, "the file does not follow the last seal before it")
            self._head, verdict.records = bytes.fromhex(beginning.previous), beginning.records

    def _tell_of_open_end(self) -> None:
        left = unsealed(self._loose, 0)
        path, offset = self._loose[0]
        with path.open("rb") as file:
            line = file.read(offset).count(b"\n") + 1
        self._problem(
            path,
            line,
            f"{left.size_bytes} bytes without a seal: a write under way, one that a crash cut short (the node notes it "
            "when it starts again), or the end was altered",
        )

    def _problem(self, path: Path, line: int, what: str) -> None:
        if len(self._verdict.problems) < MAX_PROBLEMS:
            self._verdict.problems.append(Problem(path.name, line, what))
