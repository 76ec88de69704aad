"""A directory that a device drops key files into, as the device of a link.

A file's name is its piece's name, so both devices must give the same names to the same bytes. A file is removed
before the block that it goes into is delivered: a crash in between loses a block and never repeats one.
"""

import asyncio
import contextlib
import os
import pwd
from collections.abc import Iterable, Sequence

from keyhop.core.clock import Clock
from keyhop.core.errors import ConfigurationError
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import LinkEnd, LinkEvent
from keyhop.link.vendors.adapter import VendorAdapter
from keyhop.link.vendors.device import DeviceFault, NoKeysNow, Piece
from keyhop.link.vendors.key_files import FileRefused, KeyDirectory, Stamp
from keyhop.link.vendors.settings import FilesOptions

MAX_FILES = 256
"""Files of one offer; with the longest names they fill a quarter of a message."""

OFFER_AGAIN_S = 10.0
LOOK_S = 10.0
MAX_REMEMBERED = 8192
_STEP_S = 0.1


def make_files(options: FilesOptions, end: LinkEnd) -> VendorAdapter:
    """One end of a link. Raises ConfigurationError for a directory that cannot be used."""
    device = FilesDevice(options, end)
    try:
        device.open_directory().close()
    except FileRefused as refused:
        raise ConfigurationError(
            f"link {end.link}: {refused.message}",
            hint="chmod 700 it, or 770 with device_user; see docs/guides/vendors.md",
        ) from None
    return VendorAdapter(
        "files", options.role, device, end, block_bytes=options.block_bytes, max_rate_bps=options.max_rate_bps
    )


class FilesDevice:
    """Pieces are files."""

    def __init__(self, options: FilesOptions, end: LinkEnd) -> None:
        self._options = options
        self._clock: Clock = end.clock
        self._sleep = end.sleep
        self._report = end.report
        self._directory: KeyDirectory | None = None
        self._stamps: dict[str, tuple[Stamp, float]] = {}
        """Since when, on the monotonic clock, a file has looked as it does."""
        self._offered: set[str] = set()
        self._not_before_s: dict[str, float] = {}
        self._refused: set[str] = set()
        self._looked_s = -LOOK_S

    def open_directory(self) -> KeyDirectory:
        """Raises FileRefused, ConfigurationError."""
        user, uid = self._options.device_user, None
        if user is not None:
            try:
                uid = pwd.getpwnam(user).pw_uid
            except KeyError:
                raise ConfigurationError(f"there is no user {user!r}", hint="name the user of the device") from None
        return KeyDirectory(self._options.directory, self._options.pattern, uid)

    async def open(self, greeting: bytes | None) -> bytes:
        """Opens the directory anew."""
        await self.close()
        try:
            self._directory = await asyncio.to_thread(self.open_directory)
        except (FileRefused, ConfigurationError) as refused:
            raise DeviceFault(refused.message) from None
        return b""

    async def produce(self, wanted_bytes: int) -> list[Piece]:
        """The first files in lexical order that are whole and not offered yet."""
        directory = self._open()
        names = await asyncio.to_thread(_names, directory)
        await self._remove_unmatched(directory, [name for name in names if name in self._not_before_s])
        now_s = self._clock.monotonic()
        fresh = [name for name in names if name not in self._offered and self._not_before_s.get(name, 0.0) <= now_s]
        keys = await self._read(directory, fresh, wanted_bytes)
        pieces, seen = list[Piece](), set[bytes]()
        for name, material in keys.items():
            if material.reveal() in seen:
                self._refuse(name, f"{name}: the same bytes as in another file")
                continue
            seen.add(material.reveal())
            pieces.append(Piece(os.fsencode(name), material))
        if not pieces:
            raise NoKeysNow(f"waiting for key files in {self._options.directory}")
        self._offered |= keys.keys()
        return pieces

    async def copies(self, names: Sequence[bytes], sizes: Sequence[int], found: dict[bytes, KeyMaterial]) -> None:
        """Waits a little for files that the device here writes later than the one there."""
        directory = self._open()
        until_s = self._clock.monotonic() + self._options.wait_s
        wanted = sorted(name for name in map(os.fsdecode, names) if directory.is_key_file(name))
        if wanted:
            await self._remove_passed_over(directory, wanted[0])
        while True:
            missing = [name for name in wanted if os.fsencode(name) not in found]
            keys = await self._read(directory, missing)
            found |= {os.fsencode(name): material for name, material in keys.items()}
            if len(keys) == len(missing) or self._clock.monotonic() >= until_s:
                return
            await self._sleep(_STEP_S)

    async def consume(self, names: Sequence[bytes]) -> None:
        """Erased, or moved away: whatever could not be is no key."""
        directory = self._open()
        remove = directory.erase if self._options.after_use == "erase" else directory.move_to_used

        def remove_all() -> None:
            for name in names:
                remove(os.fsdecode(name))

        try:
            await asyncio.to_thread(remove_all)
        except FileRefused as refused:
            raise DeviceFault(refused.message) from None
        self._forget(os.fsdecode(name) for name in names)

    def lost(self, names: Sequence[bytes]) -> None:
        """They are still here, and offered again after a while: the far end's device may be late."""
        for name in map(os.fsdecode, names):
            self._offered.discard(name)
            self._not_before_s[name] = self._clock.monotonic() + OFFER_AGAIN_S
        while len(self._not_before_s) > MAX_REMEMBERED:
            del self._not_before_s[next(iter(self._not_before_s))]

    async def close(self) -> None:
        """Forgets what was seen."""
        directory, self._directory = self._directory, None
        self._offered.clear()
        self._stamps.clear()
        if directory is not None:
            directory.close()

    def _open(self) -> KeyDirectory:
        """Looked at anew each time: its mode may have changed."""
        if self._directory is None:
            raise DeviceFault("the directory is not open")
        try:
            self._directory.check()
        except FileRefused as refused:
            raise DeviceFault(refused.message) from None
        return self._directory

    def _settled(self, directory: KeyDirectory, name: str) -> bool:
        if not self._options.settle_s:
            return True
        stamp, now_s = directory.stamp(name), self._clock.monotonic()
        if stamp is None:
            return False
        known = self._stamps.get(name)
        if known is None or known[0] != stamp:
            if len(self._stamps) >= MAX_REMEMBERED:
                self._stamps.clear()
            self._stamps[name] = known = (stamp, now_s)
        return now_s - known[1] >= self._options.settle_s

    async def _read(
        self, directory: KeyDirectory, names: Sequence[str], enough_bytes: int | None = None
    ) -> dict[str, KeyMaterial]:
        """The keys in those files that are whole; refusals are told."""
        whole = [name for name in names if self._settled(directory, name)]
        keys, refused = await asyncio.to_thread(_read_some, directory, whole, self._options, enough_bytes)
        self._refused -= keys.keys()
        for name, reason in refused.items():
            self._refuse(name, reason)
        return keys

    def _refuse(self, name: str, reason: str) -> None:
        """Told once per file, whatever else is found wrong with it later, until it was good or is gone."""
        self._not_before_s[name] = self._clock.monotonic() + OFFER_AGAIN_S
        if name not in self._refused and len(self._refused) < MAX_REMEMBERED:
            self._refused.add(name)
            self._report(LinkEvent(alarm=True, text=f"a key file is refused: {reason}"))

    async def _remove_passed_over(self, directory: KeyDirectory, first_offered: str) -> None:
        """The initiator goes in lexical order: what stands before its offer and is old, its device never had."""
        now_s = self._clock.monotonic()
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            names = await asyncio.to_thread(_names, directory)
            await self._remove_unmatched(directory, [name for name in names if name < first_offered])

    async def _remove_unmatched(self, directory: KeyDirectory, names: Sequence[str]) -> None:
        oldest_s = self._clock.wall() - self._options.unmatched_s
        for name in names:
            left_alone = name in self._offered or name in self._refused
            stamp = None if left_alone else directory.stamp(name)
            if stamp is not None and stamp.modified_s < oldest_s:
                with contextlib.suppress(FileRefused):
                    await asyncio.to_thread(directory.erase, name)
                    self._forget([name])
                    self._report(LinkEvent(alarm=False, text=f"{name}: removed, the far end never had it"))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._offered.discard(name)
            self._stamps.pop(name, None)
            self._not_before_s.pop(name, None)
            self._refused.discard(name)


def _names(directory: KeyDirectory) -> list[str]:
    try:
        return directory.names()
    except FileRefused as refused:
        raise DeviceFault(refused.message) from None


def _read_some(
    directory: KeyDirectory, names: Sequence[str], options: FilesOptions, enough_bytes: int | None
) -> tuple[dict[str, KeyMaterial], dict[str, str]]:
    """Keys by name, and why others are refused; only so many as are enough for an offer, where that is given."""
    keys, refused, size = dict[str, KeyMaterial](), dict[str, str](), 0
    for name in names:
        if enough_bytes is not None and (size >= enough_bytes or len(keys) == MAX_FILES):
            break
        try:
            keys[name] = directory.read(name, options.format, options.max_file_bytes)
            size += len(keys[name])
        except FileNotFoundError:
            continue
        except FileRefused as reason:
            refused[name] = reason.message
    return keys, refused
