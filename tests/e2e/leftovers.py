"""Looks for key bytes where none may be: raw, in hexadecimal and in base64, whole or in pieces of 16 characters."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

PIECE = 16
_INDEXED = 8


class Needles:
    """Pieces of secrets in every form. A piece is long enough not to be found by chance."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._pieces: dict[bytes, set[bytes]] = {}
        for secret in secrets:
            for form in _forms(secret):
                for at in range(0, len(form) - PIECE + 1, PIECE):
                    piece = form[at : at + PIECE]
                    self._pieces.setdefault(piece[:_INDEXED], set()).add(piece)
        self._index = np.sort(np.frombuffer(b"".join(self._pieces), "<u8"))

    def found_in(self, data: bytes) -> Iterator[int]:
        """Where the pieces that are there begin."""
        for shift in range(min(_INDEXED, len(data))):
            windows = np.frombuffer(data, "<u8", (len(data) - shift) // _INDEXED, shift)
            for at in _INDEXED * np.nonzero(self._known(windows))[0] + shift:
                piece = data[at : at + PIECE]
                if piece in self._pieces.get(piece[:_INDEXED], ()):
                    yield int(at)

    def files_with(self, directory: Path) -> set[str]:
        """The files below a directory that hold any piece, by name."""
        files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
        return {path.name for path in files if any(self.found_in(path.read_bytes()))}

    def _known(self, windows: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        at = np.searchsorted(self._index, windows)
        known: npt.NDArray[np.bool_] = self._index[np.minimum(at, len(self._index) - 1)] == windows
        return known


def _forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for before in range(3):  # base64 of something longer that the secret is a part of
        yield b64encode(bytes(before) + secret)[4 if before else 0 :]
