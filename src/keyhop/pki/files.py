"""Whole-file writes: a reader sees the old content or the new one, never a part, also after a power cut."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from keyhop.core.directories import sync_directory

PUBLIC = 0o644
SECRET = 0o600


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Replace `path` durably. The new file has `mode` from its first byte on, so a key is never readable."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as partial:  # made 0600
        try:
            partial.write(content)
            partial.flush()
            os.fchmod(partial.fileno(), mode)
            os.fsync(partial.fileno())
            Path(partial.name).replace(path)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise
    sync_directory(path.parent)
