"""The errors of the client, drawn once. Whose fault it is stands in the type.

    ClientError
    ├── BadRequest        400: the KME cannot meet the request as it is written
    ├── Unauthorised      401: this SAE may not have that
    ├── Unavailable       503: not now, or the KME failed; `retry_after_s` if it said when
    ├── ProtocolError     the KME answered what the standard does not allow
    └── TransportError    no answer came: connection, TLS or time limit

What a KME sent is cut to a bounded length and stripped of control characters before it becomes a message. No
error holds key bytes, not in its chain of causes either.
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """`message` and `details` are the KME's own where it gave any; `status` is its HTTP code or None."""

    def __init__(self, message: str, *, status: int | None = None, details: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = details


class BadRequest(ClientError):
    """Code 400 (ETSI GS QKD 014, clause 5)."""


class Unauthorised(ClientError):
    """Code 401."""


class Unavailable(ClientError):
    """Code 503; `retry_after_s` is the Retry-After header in seconds, None where absent or a date."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        details: tuple[Mapping[str, Any], ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, details=details)
        self.retry_after_s = retry_after_s


class ProtocolError(ClientError):
    """The answer is not one that ETSI GS QKD 014 allows; any keys in it must not be used."""


class TransportError(ClientError):
    """No whole answer came. The KME may have served the request all the same: its keys are then spent."""
