"""The error tree, drawn once. Whose fault it is stands in the type; HTTP codes exist only at the edge.

    KeyhopError
    ├── RequestError          the SAE's fault
    │   ├── BadRequest            the request cannot be met as it is written
    │   └── Unauthorised          this SAE may not have that
    ├── Unavailable           nobody's fault, or ours for now: ask again later
    ├── PeerError             another node broke the protocol or cannot be reached
    ├── LinkError             a link or its device failed
    ├── StoreFailure          our disk failed: nothing may be given out any more
    └── ConfigurationError    the operator's fault, with a hint

No message ever contains key bytes.
"""

from typing import Any


class KeyhopError(Exception):
    """Base of everything keyhop raises on purpose; `message` is for people, `details` for machines."""

    def __init__(self, message: str, *, details: tuple[dict[str, Any], ...] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint


class RequestError(KeyhopError):
    """The SAE asked for something that it cannot have."""


class BadRequest(RequestError):
    """Malformed, out of range, unsupported or not found (ETSI GS QKD 014, code 400)."""


class Unauthorised(RequestError):
    """The SAE is not entitled to it (ETSI GS QKD 014, code 401)."""


class Unavailable(KeyhopError):
    """Cannot be served now (ETSI GS QKD 014, code 503); `message` gives the reason."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class PeerError(KeyhopError):
    """Another node sent what the protocol does not allow."""


class LinkError(KeyhopError):
    """A link or its device failed; the link stops, the node goes on."""


class StoreFailure(KeyhopError):
    """The store could not make something durable. It refuses all further work; the node must stop."""


class ConfigurationError(KeyhopError):
    """The configuration cannot be used; `hint` says what to change."""
