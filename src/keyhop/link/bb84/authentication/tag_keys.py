"""The one-time keys that authenticate the classical channel: which there are, and that none is ever used twice.

The rules of the pool:

1. Both ends hold the same keys under the same names. A name stands for one stretch of the conversation, both ways: a
   tag key and a receipt for each direction, and a proof, all of them independent random bytes.
2. A key leaves the pool before it is used, durably, and never comes back (`take`, then save, then use).
3. An end shows the name's receipt once the key has left its pool durably, and makes a tag only after it has seen the
   receipt of the far end. A receipt is secret until then, so nobody else can show it; a wrong one costs no key.
4. The receiver alone shows the proof, once it has verified the transmitter's tag over the whole stretch and has
   concluded the round. Until then the transmitter, who saw only that what the receiver said came through, holds back
   what the round yields: what the receiver said may have been answers to something altered.
5. After each start and each new connection both ends compare names; only those that both have can be taken.

Why so: an end that is restored from a backup has keys again that it used already. By rule 3 it made tags only with
keys that the far end had removed durably, and by rule 5 it cannot take those again: restoring one end costs keys, and
never uses one twice. Messages may be lost and ends may crash at any moment. Somebody who can alter the names and
repeat an old receipt may make a restored end tag with an old key again; the far end has removed that key, so whatever
is forged with it is believed by nobody, unless its run of old still waits for that very tag: so a run ends with its
connection. Restoring both ends to old states, or restoring one before the other, once restored, has forgotten the
rest, cannot be noticed here. A node that has a witness notices, and drops the keys (`without_keys`); in any case such a
link must be enrolled with a new file.

Names are public and say nothing of the keys: the sequence of the round that made them, or the identifier of the
enrolment, and an index.
"""

import hmac
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from keyhop.core.errors import LinkError, PeerError
from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES, IDENTIFIER_BYTES, Enrolment

type Role = Literal["transmitter", "receiver"]

NAME_BYTES = 12
TAG_KEY_BYTES = 32
RECEIPT_BYTES = 16
DIRECTION_BYTES = TAG_KEY_BYTES + RECEIPT_BYTES
PROOF_BYTES = 16
"""An entry of the pool is what the transmitter sends with, what the receiver sends with, and the proof."""

DEFAULT_TARGET_NAMES = 64
MIN_NAMES_PER_ROUND = 2
MAX_NAMES_PER_ROUND = 512
MAX_NAMES = 1024
"""More than these are never kept: the oldest go."""

MAX_SEQUENCE = (1 << 63) - 1

_ENROLLED = 1 << 63
_MAX_ENROLMENTS = 256
_VERSION = 2


class TagKey:
    """What one name stood for, at one end, taken from the pool for good.

    `receipt` is for the far end, once the pool without this key is durable. `sending` makes the tag of this end, but
    only when `confirm` has taken the far end's receipt; `receiving` checks the tag of the far end. `proof` is what the
    receiver shows when it has found everything as it should be; the transmitter takes it with `conclude`.
    """

    __slots__ = ("_awaited", "confirmed", "name", "proof", "receipt", "receiving", "sending")

    def __init__(self, name: bytes, entry: KeyMaterial, role: Role) -> None:
        secret = entry.reveal()
        ours, theirs = secret[:DIRECTION_BYTES], secret[DIRECTION_BYTES : 2 * DIRECTION_BYTES]
        if role == "receiver":
            ours, theirs = theirs, ours
        self.name = name
        self.sending, self.receipt = KeyMaterial(ours[:TAG_KEY_BYTES]), KeyMaterial(ours[TAG_KEY_BYTES:])
        self.receiving, self._awaited = KeyMaterial(theirs[:TAG_KEY_BYTES]), KeyMaterial(theirs[TAG_KEY_BYTES:])
        self.proof = KeyMaterial(secret[2 * DIRECTION_BYTES :])
        self.confirmed = False

    def confirm(self, receipt: bytes) -> None:
        """Takes what the far end shows as its receipt. PeerError when it is not."""
        if not hmac.compare_digest(receipt, self._awaited.reveal()):
            raise PeerError("the far end did not prove that it has set an authentication key aside")
        self.confirmed = True

    def conclude(self, proof: bytes) -> None:
        """Takes what the receiver shows as the proof. PeerError when it is not."""
        if not hmac.compare_digest(proof, self.proof.reveal()):
            raise PeerError("the far end did not prove that everything said to it was as it should be")

    def __repr__(self) -> str:
        return f"<tag key {self.name.hex()}>"


class _Saved(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=_VERSION, le=_VERSION)]
    last_sequence: Annotated[int, Meta(ge=-1, le=MAX_SEQUENCE)]
    enrolments: Annotated[
        list[Annotated[bytes, Meta(min_length=IDENTIFIER_BYTES, max_length=IDENTIFIER_BYTES)]],
        Meta(max_length=_MAX_ENROLMENTS),
    ]
    names: Annotated[bytes, Meta(max_length=MAX_NAMES * NAME_BYTES)]
    entries: Annotated[bytes, Meta(max_length=MAX_NAMES * ENTRY_BYTES)]


class TagKeys:
    """The pool of one end. Whoever changes it saves it: `to_bytes` is the whole of it, and holds key bytes.

    `target_names` is how many names it would like to hold; `last_sequence` is the highest sequence of a round that
    was ever finished here, -1 before the first.
    """

    def __init__(self, role: Role, *, target_names: int = DEFAULT_TARGET_NAMES) -> None:
        self.last_sequence = -1
        self._role = role
        self._target_names = min(target_names, MAX_NAMES_PER_ROUND)
        self._entries: dict[bytes, KeyMaterial] = {}  # oldest first
        self._agreed: set[bytes] = set()
        self._enrolments: list[bytes] = []

    @classmethod
    def from_bytes(cls, saved: bytes, role: Role, *, target_names: int = DEFAULT_TARGET_NAMES) -> Self:
        """The pool as it was saved, nothing of it agreed upon. LinkError when these bytes are no pool."""
        try:
            state = msgspec.msgpack.decode(saved, type=_Saved)
        except msgspec.MsgspecError:
            raise _unreadable() from None
        count, rest = divmod(len(state.names), NAME_BYTES)
        if rest or len(state.entries) != count * ENTRY_BYTES or len(set(state.enrolments)) != len(state.enrolments):
            raise _unreadable()
        pool = cls(role, target_names=target_names)
        pool.last_sequence = state.last_sequence
        pool._enrolments = state.enrolments
        for name, entry in zip(_pieces(state.names, NAME_BYTES), _pieces(state.entries, ENTRY_BYTES), strict=True):
            pool._entries[name] = KeyMaterial(entry)
        if len(pool._entries) != count:
            raise _unreadable()
        return pool

    def to_bytes(self) -> bytes:
        """Everything that must be found again after a crash. Secret."""
        entries = b"".join(entry.reveal() for entry in self._entries.values())
        names = b"".join(self._entries)
        return msgspec.msgpack.encode(_Saved(_VERSION, self.last_sequence, self._enrolments, names, entries))

    def names(self) -> tuple[bytes, ...]:
        """All that there are, oldest first: what to tell the far end of a new connection."""
        return tuple(self._entries)

    def agree_on(self, names: Sequence[bytes]) -> None:
        """Takes the names that the far end of a new connection has: from now on only common ones can be taken.

        Nothing is lost yet, because nobody has authenticated that list. PeerError for one that cannot be.
        """
        if len(names) > MAX_NAMES:
            raise PeerError(f"the far end names more than {MAX_NAMES} authentication keys")
        if any(len(name) != NAME_BYTES for name in names) or len(set(names)) != len(names):
            raise PeerError("the far end names its authentication keys wrongly")
        self._agreed = self._entries.keys() & set(names)

    def forget_the_rest(self) -> None:
        """Drops what the far end does not have; once a tag has shown that the list was really its own."""
        self._entries = {name: entry for name, entry in self._entries.items() if name in self._agreed}

    def next_name(self) -> bytes:
        """The oldest name that both ends have. LinkError when there is none."""
        for name in self._entries:
            if name in self._agreed:
                return name
        none_left = "authentication keys exhausted"
        what = "the two ends have no authentication keys in common" if self._entries else none_left
        raise LinkError(
            f"{what}: enrol the link again",
            hint="put a new enrolment file, the same one, at both ends",
        )

    def take(self, name: bytes, receipt: bytes | None = None) -> TagKey:
        """Removes a key for good: save the pool, and use the key only once that is durable.

        Where the far end asked for it, `receipt` is what it showed: the key is confirmed then. LinkError when the name
        is not there (any more), or the far end was not known to have it; PeerError for a wrong receipt. Then the key
        stays.
        """
        if name not in self._agreed:
            raise LinkError(f"there is no authentication key {name[:NAME_BYTES].hex()} that both ends have")
        key = TagKey(name, self._entries[name], self._role)
        if receipt is not None:
            key.confirm(receipt)
        self._agreed.discard(name)
        del self._entries[name]
        return key

    def wanted_bytes(self) -> int:
        """How many secret bytes of a round the pool would like. Both ends must add as many: let one end decide."""
        missing = max(MIN_NAMES_PER_ROUND, self._target_names - len(self._agreed))
        return ENTRY_BYTES * max(0, min(missing, MAX_NAMES - len(self._entries)))

    def add(self, sequence: int, material: KeyMaterial) -> None:
        """Cuts secret bytes of a finished round into keys, which both ends are taken to have; may be none.

        LinkError when a round of this or a later sequence was finished before, or when the bytes are not a whole
        number of entries or more than MAX_NAMES_PER_ROUND of them.
        """
        count, rest = divmod(len(material), ENTRY_BYTES)
        if not self.last_sequence < sequence <= MAX_SEQUENCE:
            raise LinkError(f"round {sequence} cannot follow round {self.last_sequence}")
        if rest or count > MAX_NAMES_PER_ROUND:
            raise LinkError(f"{len(material)} bytes cannot be cut into authentication keys")
        self.last_sequence = sequence
        self._agreed.update(self._append(sequence, material))

    def enrol(self, enrolment: Enrolment) -> bool:
        """Takes in the keys of an enrolment, in place of what is left of earlier ones; not when it was ever done.

        Tells whether it did. LinkError when the link was enrolled too often.
        """
        if enrolment.identifier in self._enrolments:
            return False
        if len(self._enrolments) == _MAX_ENROLMENTS:
            raise LinkError(f"a link can be enrolled {_MAX_ENROLMENTS} times only")
        for name in [name for name in self._entries if int.from_bytes(name[:8]) & _ENROLLED]:
            del self._entries[name]
            self._agreed.discard(name)
        self._enrolments = [*self._enrolments, enrolment.identifier]
        self._append(int.from_bytes(enrolment.identifier[:8]) | _ENROLLED, enrolment.material)
        return True

    def _append(self, origin: int, material: KeyMaterial) -> list[bytes]:
        names = []
        for index, entry in enumerate(_pieces(material.reveal(), ENTRY_BYTES)):
            names.append(origin.to_bytes(8) + index.to_bytes(4))
            self._entries[names[-1]] = KeyMaterial(entry)
        for name in self.names()[: -MAX_NAMES or None]:
            del self._entries[name]
            self._agreed.discard(name)
        return names

    def __repr__(self) -> str:
        return f"<{len(self._entries)} tag keys, {len(self._agreed)} of them agreed upon>"


def without_keys(saved: bytes) -> bytes:
    """A pool as `to_bytes` gave it, without its keys: those of an old copy were used. What was enrolled stays known, so
    that no file is taken in again. LinkError when these bytes are no pool."""
    try:
        state = msgspec.msgpack.decode(saved, type=_Saved)
    except msgspec.MsgspecError:
        raise _unreadable() from None
    return msgspec.msgpack.encode(msgspec.structs.replace(state, names=b"", entries=b""))


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _unreadable() -> LinkError:
    return LinkError(
        "the authentication keys in the node's store cannot be read", hint="enrol the link again, with a new file"
    )
