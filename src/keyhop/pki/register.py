"""What the authority issued: issued.json.

A certificate is written here before it is handed out, so that each one that exists can be revoked.
"""

from pathlib import Path
from typing import Literal

import msgspec

from keyhop.core.errors import ConfigurationError
from keyhop.pki.files import SECRET, write_file

Kind = Literal["node", "sae"]
State = Literal["valid", "expired", "revoked"]


class Issued(msgspec.Struct, forbid_unknown_fields=True):
    """One certificate. Times are whole seconds since 1970; `serial` is in hexadecimal."""

    name: str
    kind: Kind
    serial: str
    not_before: int
    not_after: int
    hosts: list[str] = []
    uri: str | None = None
    revoked_at: int | None = None

    def state(self, now_s: float) -> State:
        """What a node would say of it now."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if now_s >= self.not_after else "valid"


class Register(msgspec.Struct, forbid_unknown_fields=True):
    """All certificates, oldest first, and the state of the newest revocation list."""

    certificates: list[Issued] = []
    crl_number: int = 0
    crl_this_update: int = 0

    def newest(self, name: str) -> Issued | None:
        """The last certificate issued to `name`."""
        return next((issued for issued in reversed(self.certificates) if issued.name == name), None)


def load_register(path: Path) -> Register:
    """Raises `ConfigurationError` when the file is missing or is not a register."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Register)
    except (OSError, msgspec.DecodeError) as failure:
        raise ConfigurationError(
            f"cannot read the authority's register {path}: {failure}",
            hint="restore it from a backup: without it no certificate can be revoked",
        ) from failure


def save_register(path: Path, register: Register) -> None:
    """Durable before it returns."""
    write_file(path, msgspec.json.format(msgspec.json.encode(register)) + b"\n", SECRET)
