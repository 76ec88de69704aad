"""The generations of the key that authenticates one peer: the last two that both ends may have, kept in the store."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial, Stored
from keyhop.core.store.base import KeyStore, Slot

FRESH_BYTES = 32
SECRET_BYTES = 32
CHECK_BYTES = 16

_LABEL = "keyhop psk"
_NAME_BYTES = 8
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Psks:
    """The peers that are authenticated by a key, with what operators have given to both nodes, and how often it is
    refreshed."""

    configured: Mapping[KmeId, KeyMaterial] = field(default_factory=dict)
    refresh_s: float = 3600.0

    def of(self, me: KmeId, peer: KmeId, store: KeyStore, journal: Journal) -> "PskGenerations | None":
        """The key of a peer, as the store has it; None for one with certificates."""
        configured = self.configured.get(peer)
        return PskGenerations(me, peer, configured, store, journal) if configured else None


NO_PSKS = Psks()


class Generation(NamedTuple):
    """One that was made of fresh bytes. `check` tells, without the secret, whether both ends have made the same."""

    number: int
    secret: KeyMaterial
    check: bytes


class _State(Stored):
    file: str
    secrets: dict[int, bytes]
    check: bytes = b""
    """Of the newest."""
    made_at: float = 0.0
    """The newest, in wall seconds."""


class PskGenerations:
    """What this node has of the key that it shares with `peer`.

    `configured` is generation 0. Other bytes than those that the store remembers are another key: everything of the
    one before is forgotten.
    """

    def __init__(self, me: KmeId, peer: KmeId, configured: KeyMaterial, store: KeyStore, journal: Journal) -> None:
        self.peer = peer
        self.leads = me < peer
        """Whether this end dials, and decides on the next generation."""
        self.in_use = 0
        """The generation that the present connection, or the last one, was made with."""
        self._journal = journal
        self._ends = "\0".join(sorted((me, peer)))
        self._pair = _short_name(self._ends.encode())
        self._slot = Slot("psk", quote(peer, safe=""))
        file = _short_name(configured.reveal())
        stored = store.read(self._slot)
        found = msgspec.msgpack.decode(stored, type=_State) if stored else None
        self._state = found if found and found.file == file else _State(file, {0: configured.reveal()})
        self.current = self.newest
        """The newest generation that both ends have, as far as this one knows durably."""

    def __repr__(self) -> str:
        return f"<PSK of {self.peer}, generation {self.current}>"

    @property
    def newest(self) -> int:
        """What `current` is, or will be with the next commit."""
        return max(self._state.secrets)

    @property
    def refreshed_at(self) -> float | None:
        """When the newest was made here, in wall seconds; None for the operators' own."""
        return self._state.made_at or None

    def identity(self, generation: int) -> str:
        """How a generation is called on the wire: digests of both names and of generation 0, and its number."""
        return f"keyhop.{self._pair}.{self._state.file}.{generation}"

    def secret(self, generation: int) -> KeyMaterial:
        """One that this node has. Raises KeyError."""
        return KeyMaterial(self._state.secrets[generation])

    def shown(self, identity: str) -> int | None:
        """The generation that a peer that dials shows, or None if it is not this peer. Raises PeerError for one that
        is not here."""
        name, _, number = identity.rpartition(".")
        who, _, file = name.rpartition(".")
        if self.leads or who != f"keyhop.{self._pair}":
            return None
        if file != self._state.file:
            raise PeerError("its psk_file is not the one that this node has")
        known = len(number) <= _MAX_DIGITS and number.isascii() and number.isdecimal()
        if not known or int(number) not in self._state.secrets:
            raise PeerError(f"it shows a generation of the PSK that is not here ({self.here()})")
        return int(number)

    def here(self) -> str:
        """Which generations this node has, for people."""
        return f"here: {', '.join(map(str, sorted(self._state.secrets)))}"

    def used(self, generation: int) -> None:
        """A handshake with it is over: both ends have it, and those before are forgotten."""
        self.in_use = generation
        if generation > min(self._state.secrets):
            self._keep({number: secret for number, secret in self._state.secrets.items() if number >= generation})

    def after(self, number: int, fresh: bytes) -> Generation:
        """The generation after one that this node has, from fresh bytes that are used for nothing else."""
        info = f"{_LABEL}\0{self._ends}\0{number + 1}".encode()
        hkdf = HKDF(SHA384(), SECRET_BYTES + CHECK_BYTES, salt=self._state.secrets[number], info=info)
        derived = hkdf.derive(fresh)
        return Generation(number + 1, KeyMaterial(derived[:SECRET_BYTES]), derived[SECRET_BYTES:])

    def has(self, number: int, check: bytes) -> bool:
        """Whether this node has that generation already, made of the same bytes."""
        return (number, check) == (self.newest, self._state.check)

    def adopt(self, generation: Generation, now: float) -> None:
        """Keeps, from the wall time `now` on, one that the other end has durably, or will have if it lives; instead of
        another one of its number, which that end has forgotten and nobody has used."""
        self._state.check, self._state.made_at = generation.check, now
        self._keep(self._state.secrets | {generation.number: generation.secret.reveal()})
        self._journal.then(lambda: self._move(generation.number))

    def _move(self, generation: int) -> None:
        self.current = generation

    def _keep(self, secrets: dict[int, bytes]) -> None:
        self._state.secrets = secrets
        self._journal.save(self._slot, lambda: msgspec.msgpack.encode(self._state))


def _short_name(content: bytes) -> str:
    """Tells nothing of random bytes as long as a key."""
    return hashlib.sha256(_LABEL.encode() + b"\0" + content).digest()[:_NAME_BYTES].hex()
