"""What two domains say to each other of keys, and what must hold for it: ETSI GS QKD 020 as somebody sees it who reads
all of it.
"""

from collections.abc import Iterable

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi020.calls import ACK, EXT_KEYS, VOID, Call
from keyhop.service.etsi020.models import Acks, ExtKeyContainer, VoidContainer, key_ids, read
from keyhop.testing.material import Material
from keyhop.testing.violation import Violation

type _Name = tuple[SaeId, bytes]
"""A master, and the ID of a key of its: two masters may choose the same."""


class HandedOver:
    """Between two KMSs. Every method that is told something raises `Violation`."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._keys: dict[_Name, tuple[KeyMaterial, frozenset[str]]] = {}
        self._given_up: set[_Name] = set()
        self.void: dict[_Name, frozenset[str]] = {}
        """Keys that their receiver said to be void, or not to be there, and for which slaves they were."""

    def called(self, call: Call, path: str) -> None:
        """A KMS calls the other one."""
        body = call.body or b""
        if path == EXT_KEYS:
            container = read(body, ExtKeyContainer)
            names = _names(container.initiator_sae_id, (key.key_id for key in container.keys))
            for name, key in zip(names, container.keys, strict=True):
                self._sent(name, key.value, frozenset(container.target_sae_ids))
        elif path == VOID:
            self._given_up.update(_voided(body))
        elif path == ACK:
            for ack in read(body, Acks):
                if ack.ack_status in ("voided", "key not present"):
                    self._note_void(_names(ack.initiator_sae_id, (key.key_id for key in ack.key_id_container)))

    def answered(self, call: Call, path: str, status: int) -> None:
        """The other one answers."""
        if path == VOID and status in (200, 400):
            self._note_void(_voided(call.body or b""))

    def master_got(self, master: SaeId, ids: Iterable[bytes]) -> None:
        """A master got keys for slaves in the other domain."""
        if any((master, key_id) in self._given_up for key_id in ids):
            raise Violation(5, "a master got a key that was given up, and may be void where its slaves are")

    def _sent(self, name: _Name, key: KeyMaterial, slaves: frozenset[str]) -> None:
        if name in self._given_up:
            raise Violation(2, "a key is handed over again after it was given up")
        if self._keys.setdefault(name, (key, slaves)) != (key, slaves):
            raise Violation(1, "two keys are handed over under one ID")
        self._material.brought(name[1], key.reveal())

    def _note_void(self, names: Iterable[_Name]) -> None:
        for name in names:
            if name in self._keys:
                self.void[name] = self._keys[name][1]


def _names(initiator: str, texts: Iterable[str]) -> list[_Name]:
    return [(SaeId(initiator), key_id) for key_id in key_ids(texts)]


def _voided(body: bytes) -> list[_Name]:
    container = read(body, VoidContainer)
    return _names(container.initiator_sae_id, container.key_ids)
