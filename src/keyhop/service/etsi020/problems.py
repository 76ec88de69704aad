"""RFC 9457 problem documents, as ETSI GS QKD 020 V1.1.1 uses them: `type`, `status`, `title`, and `details` of strings.

Where the standard has no type for what is wrong, or none that we know, it is `about:blank` (RFC 9457, clause 4.2.1).
"""

from http import HTTPStatus

import msgspec

from keyhop.core.errors import KeyhopError

TYPES = "https://qkd.etsi.org/gs020-interop-kms/"
MISSING_PARAMETERS = TYPES + "missing-parameters"
KEY_ROUTING_ERROR = TYPES + "key-routing-error"
INSUFFICIENT_KEY_MATERIAL = TYPES + "insufficient-key-material"
UNSUPPORTED_MANDATORY_EXTENSION = TYPES + "unsupported-mandatory-extension"
KEY_NOT_PRESENT = TYPES + "key-not-present"
NO_TYPE = "about:blank"

CONTENT_TYPE = "application/problem+json"
MAX_DETAIL = 200
_TITLES = {
    MISSING_PARAMETERS: "Missing parameters",
    KEY_ROUTING_ERROR: "Key routing error",
    INSUFFICIENT_KEY_MATERIAL: "Insufficient key material",
    UNSUPPORTED_MANDATORY_EXTENSION: "Unsupported mandatory extension",
    KEY_NOT_PRESENT: "Key not present",
}


class Problem(KeyhopError):
    """A request of another KMS that is not met. Only 400 and 401 promise that nothing of it was kept."""

    def __init__(self, status: int, kind: str = NO_TYPE, **named: str) -> None:
        """`named` are the details, such as `reason`."""
        super().__init__(named.get("reason") or _TITLES.get(kind) or HTTPStatus(status).phrase)
        self.status = status
        self.kind = kind
        self.named = named

    def document(self) -> bytes:
        """As JSON."""
        title = _TITLES.get(self.kind) or HTTPStatus(self.status).phrase
        value: dict[str, object] = {"type": self.kind, "status": self.status, "title": title}
        if self.named:
            value["details"] = {name: text[:MAX_DETAIL] for name, text in self.named.items()}
        return msgspec.json.encode(value)


class _Document(msgspec.Struct):
    type: str = NO_TYPE
    title: str | None = None
    details: dict[str, object] | None = None


def said_in(body: bytes) -> str:
    """What a problem document of another KMS says, harmless to log; empty when it is none."""
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    parts = [document.type.removeprefix(TYPES), document.title or ""]
    parts += [f"{name}: {text}" for name, text in (document.details or {}).items()]
    text = "; ".join(part for part in parts if part and part != NO_TYPE)
    return "".join(c if c.isprintable() else " " for c in text[:MAX_DETAIL]).strip()
