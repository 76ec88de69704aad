"""A file for key bytes: mode 0600 from its first moment, never through a link, never over another."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from keyhop.core.errors import ConfigurationError


@contextmanager
def secret_file(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """A new file at `path` to write to; its bytes are on disk when the block ends, and gone if the block fails.

    It is opened before the block runs, so that no key is asked for that could not be kept. With `replace`, a
    regular file that is there gives way in one step at the end. Raises ConfigurationError and OSError.
    """
    target = path.with_name(f".{path.name}.{secrets.token_hex(8)}") if replace else path
    if replace and os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise ConfigurationError(f"{path} is not a regular file", hint="give --out another name")
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists", hint="give --out another name, or --force") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            target.replace(path)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
