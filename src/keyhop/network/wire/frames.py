"""Messages one after the other in a stream of bytes, each behind its length."""

from keyhop.core.errors import PeerError

MAX_FRAME_BYTES = 4 << 20
LENGTH_BYTES = 4


class Frames:
    """Cuts a byte stream into frames. Raises PeerError for a frame over the limit, before it is read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now."""
        self._buffer += data
        frames: list[bytes] = []
        at = 0
        while len(self._buffer) - at >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[at : at + LENGTH_BYTES])
            if length > MAX_FRAME_BYTES:
                raise PeerError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
            if len(self._buffer) - at - LENGTH_BYTES < length:
                break
            at += LENGTH_BYTES
            frames.append(bytes(self._buffer[at : at + length]))
            at += length
        del self._buffer[:at]
        return frames


def frame(data: bytes) -> bytes:
    """A message with its length in front."""
    return len(data).to_bytes(LENGTH_BYTES) + data
