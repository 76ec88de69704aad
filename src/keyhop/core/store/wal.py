"""The write-ahead log of an SQLite database: when it goes into the database, and whether the two belong together.

SQLite takes any whole WAL beside a database for its own. With a database from a backup under the WAL that a crash has
left, part of the store would be old and part new: erased key bytes would be back, and no mark and no witness would
show it. So the database has a number, its `user_version`. The first commit after all of the WAL has gone into the
database raises it, in the WAL. What the database file itself says is therefore the same or one less, unless one of the
two is from another time.
"""

from contextlib import suppress

import apsw

from keyhop.core.errors import ConfigurationError

_PAGES = 250  # some 4 MiB, which nobody waits for long
_WRITE_BYTES = 1 << 16
"""SQLite's own file system writes less than twice as much at a time."""
_NUMBER_AT, _NUMBER_BYTES = 60, 4  # https://www.sqlite.org/fileformat2.html, section 1.3
_NUMBERS = 1 << 31


class Wal:
    """Of a database that this process holds exclusively. Its methods raise apsw.Error."""

    def __init__(self, db: apsw.Connection) -> None:
        """`open` comes next, once the database is one."""
        self._db = db
        self._number = self._pages = 0
        self._begins_anew = False
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # who is refused leaves everything as it was

    def open(self) -> None:
        """Raises ConfigurationError for a WAL of another time than the database."""
        self._number = self._checked()
        self._write_anew()
        self._db.set_wal_hook(self._grew)
        self._go_in()
        self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def committing(self) -> None:
        """Within each transaction that writes."""
        if self._begins_anew:
            self._number = (self._number + 1) % _NUMBERS
            self._db.execute(f"PRAGMA user_version = {self._number}")

    def committed(self) -> None:
        """After it."""
        self._begins_anew = False
        if self._pages >= _PAGES:
            self._go_in()

    def _grew(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def _go_in(self) -> None:
        """Copies what the WAL holds into the database. If that fails everything is in the WAL, and a later try does."""
        with suppress(apsw.Error):
            pages, done = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._begins_anew = pages == done

    def _write_anew(self) -> None:
        """Writes once more, and syncs, what the WAL shows.

        After a failed sync the system's cache shows bytes that are not on the disk, and no later sync writes them. We
        go on from what we read there, so it must be on the disk before anything is added behind it.
        """
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_WAL
        wal = apsw.VFSFile(self._db.open_vfs, self._db.filename_wal, [flags, 0])
        try:
            size = wal.xFileSize()
            for offset in range(0, size, _WRITE_BYTES):
                wal.xWrite(wal.xRead(min(_WRITE_BYTES, size - offset), offset), offset)
            wal.xSync(apsw.SQLITE_SYNC_FULL)
        finally:
            wal.xClose()

    def _checked(self) -> int:
        """The number, by the WAL."""
        number, in_database = self._db.pragma("user_version"), self._number_in_database()
        if number not in {in_database, (in_database + 1) % _NUMBERS}:
            raise ConfigurationError(
                f"{self._db.filename} and its -wal file do not belong together: one of them was put back alone",
                hint="put both back as they were at one time, or the first alone, without any -wal file",
            )
        return int(number)

    def _number_in_database(self) -> int:
        """By a second way to the file that SQLite knows of: to close any other would end its lock."""
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_DB
        file = apsw.VFSFile(self._db.open_vfs, self._db.filename, [flags, 0])
        try:
            is_new = file.xFileSize() < _NUMBER_AT + _NUMBER_BYTES
            return 0 if is_new else int.from_bytes(file.xRead(_NUMBER_BYTES, _NUMBER_AT))
        finally:
            file.xClose()
