"""Who is told what happens on a wire."""

from typing import Protocol


class Owner(Protocol):
    """Reads the wire, and hears of what becomes of it."""

    def readable(self) -> None:
        """Something came, and `read` shall be called in time; told again as long as it was not."""
        ...

    def receive(self, data: bytes) -> None:
        """Bytes that came, as they are read."""
        ...

    def drained(self) -> None:
        """Everything that was written has been taken."""
        ...

    def heard_all(self) -> None:
        """The far end says nothing more, but may still listen; told once."""
        ...

    def lost(self) -> None:
        """The wire has ended; told once."""
        ...


class _Nobody:
    """Owns a wire that has ended: wire and owner knew each other, and would wait for the garbage collector."""

    def readable(self) -> None: ...

    def receive(self, data: bytes) -> None: ...

    def drained(self) -> None: ...

    def heard_all(self) -> None: ...

    def lost(self) -> None: ...


NOBODY = _Nobody()
