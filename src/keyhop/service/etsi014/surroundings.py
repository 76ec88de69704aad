"""What a connection knows of the world around it: who its client is, what carries its bytes, what it may have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from keyhop.core.ids import SaeId


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server gives to its clients; times in seconds."""

    max_connections: int = 1024
    max_connections_per_sae: int = 128
    handshake_timeout_s: float = 10.0
    request_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    write_timeout_s: float = 30.0
    handshake_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: a verified certificate (DER), or the subject CN that a trusted proxy has verified."""

    certificate: bytes | None = None
    common_name: str | None = None


class Wire(Protocol):
    """What carries the bytes; tells the connection `readable`, `receive`, `drained`, `heard_all` and `lost`."""

    @property
    def blocked(self) -> bool:
        """Whether the client has not taken what was written; `drained` is told when it has."""
        ...

    def write(self, data: bytes) -> None:
        """Sends, now or when the client takes it."""
        ...

    def read_on(self, on: bool) -> None:
        """Whether to go on telling that there is something to read."""
        ...

    def read(self) -> None:
        """Reads once: the connection is told `receive`, or the bytes are dropped after `close`."""
        ...

    def untaken(self) -> bool:
        """Whether bytes are under way that the client has not acknowledged."""
        ...

    def close(self) -> None:
        """Says goodbye after what was written; what still comes in is dropped."""
        ...

    def abort(self) -> None:
        """Ends now."""
        ...


class TakingTurns(Protocol):
    """`turns.Turns`, as a connection sees them."""

    @property
    def shared(self) -> bool:
        """Whether more than one SAE asks."""
        ...

    def is_shared_by(self, sae: SaeId | None) -> bool:
        """The same, now that this one has sent something."""
        ...

    def enter(self, sae: SaeId | None, job: Callable[[], None], kind: bytes = b"") -> None:
        """Does the job when it is this SAE's turn, in a row with others of its kind."""
        ...
