"""The first authentication keys of a link: a file of random bytes that an operator puts at both ends.

In hex, white space ignored: an identifier of 16 bytes, then entries of 112 bytes, of which each becomes one key of the
pool. `openssl rand -hex 28688` makes one with 256 entries. The identifier is public: it goes over the line as part of
the keys' names, and it is not computed from the keys, because even a hash of them would tell something about them.

A link that has used an enrolment knows so and never takes it in again; that memory is lost together with the node's
store. So delete the file once both ends have it: two ends set up anew must not be given it again.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from keyhop.core.entropy import Entropy
from keyhop.core.errors import ConfigurationError
from keyhop.core.keys import KeyMaterial

IDENTIFIER_BYTES = 16
ENTRY_BYTES = 112
"""For each direction a tag key of 32 bytes and a receipt of 16; then a proof of 16."""

MIN_ENTRIES = 64
DEFAULT_ENTRIES = 256
MAX_ENTRIES = 512

_MAX_FILE_BYTES = 1 << 20
_MIN_BYTES = IDENTIFIER_BYTES + MIN_ENTRIES * ENTRY_BYTES
_MAX_BYTES = IDENTIFIER_BYTES + (MAX_ENTRIES + 1) * ENTRY_BYTES - 1
_RECIPE = f"openssl rand -hex {IDENTIFIER_BYTES + DEFAULT_ENTRIES * ENTRY_BYTES} makes it"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """`material` is a whole number of entries; `identifier` is public."""

    identifier: bytes
    material: KeyMaterial


def load_enrolment(path: Path) -> Enrolment:
    """Reads the file. ConfigurationError when it is missing, malformed or open to others."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_FILE_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(
            f"cannot read the enrolment file {path}: {failure.strerror}",
            hint=f"put the same random bytes in hex there at both ends: {_RECIPE}",
        ) from None
    if mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others (mode {mode:04o})", hint=f"chmod 600 {path}")
    try:
        content = bytes.fromhex(text.decode("ascii")) if len(text) <= _MAX_FILE_BYTES else b""
    except ValueError:
        content = b""
    if not _MIN_BYTES <= len(content) <= _MAX_BYTES:  # the content must not be shown
        raise ConfigurationError(f"{path} does not hold {_MIN_BYTES} to {_MAX_BYTES} bytes in hex", hint=_RECIPE)
    entries = [content[at : at + ENTRY_BYTES] for at in range(IDENTIFIER_BYTES, len(content), ENTRY_BYTES)]
    whole = [entry for entry in entries if len(entry) == ENTRY_BYTES]
    if len(set(whole)) != len(whole):
        raise ConfigurationError(f"{path} repeats itself: these are no random bytes", hint=_RECIPE)
    return Enrolment(content[:IDENTIFIER_BYTES], KeyMaterial(b"".join(whole)))


def make_enrolment(entropy: Entropy, entries: int = DEFAULT_ENTRIES) -> str:
    """The text of a new file: secret. ValueError unless it is MIN_ENTRIES to MAX_ENTRIES."""
    if not MIN_ENTRIES <= entries <= MAX_ENTRIES:
        raise ValueError(f"an enrolment has {MIN_ENTRIES} to {MAX_ENTRIES} entries")
    lines = [entropy.token(IDENTIFIER_BYTES), *(entropy.token(ENTRY_BYTES) for _ in range(entries))]
    return "".join(f"{line.hex()}\n" for line in lines)
