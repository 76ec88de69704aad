"""What an interface needs of the delivery."""

from typing import Protocol

from keyhop.service.requests.answers import InsertReply, KeyReply, Status, VoidReply
from keyhop.service.requests.asked import GetKey, GetKeyWithIds, GetStatus, InsertKeys, VoidKeys


class KeyService(Protocol):
    """What an interface needs of the delivery. All but the first answer through `reply`, exactly once, often at once.

    A reply comes only after everything that it depends on is durable here and at the other KMEs, and keys only after
    their record is in the audit log.
    """

    def get_status(self, request: GetStatus) -> Status:
        """Raises RequestError."""
        ...

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        """Replies Keys, or a RequestError or Unavailable (never raises them)."""
        ...

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        """Replies Keys, or a RequestError or Unavailable (never raises them); all keys or none."""
        ...

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        """Replies InsertedKeys, or a RequestError or Unavailable (never raises them); all slaves get keys, or none."""
        ...

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        """Replies VoidedKeys, or a RequestError or Unavailable (never raises them); then some may be void all the
        same, and to ask again does no harm."""
        ...
