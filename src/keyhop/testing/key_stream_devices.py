"""Two devices with ETSI GS QKD 004 key streams, for tests: requests in, answers out, as bytes of either dialect.

They are written from the format alone and share no code with the client under test.
"""

import hashlib
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from keyhop.link.vendors.etsi004_transport import TlsTransport
from keyhop.link.vendors.etsi004_wire import Service, payload_bytes
from keyhop.link.vendors.settings import Etsi004Options
from keyhop.testing.virtual_time import VirtualTime


@dataclass
class _Stream:
    chunk_bytes: int
    opened_s: float
    sides: set[str] = field(default_factory=set)
    given: set[tuple[str, int]] = field(default_factory=set)


class KeyStreamDevices:
    """Both devices. `intervene` may answer instead of them; it gets the number of the service."""

    def __init__(self, now_s: Callable[[], float], *, dialect: str = "c", rate_bps: float = 20_000) -> None:
        self._now_s = now_s
        self._dialect = dialect
        self.rate_bps = rate_bps
        self.most_chunk_bytes = 128
        self.metadata = b'{"age": 1}'
        self.streams: dict[bytes, _Stream] = {}
        self.requests: list[int] = []
        self.intervene: Callable[[int], bytes | None] = lambda service: None

    def answer(self, side: str, request: bytes) -> bytes:
        """What the device of that side says, header and all."""
        service, length = request[3], int.from_bytes(request[4:8])
        payload = request[8:]
        assert len(payload) == length
        self.requests.append(service)
        answers = {2: self._open_connect, 4: self._get_key, 8: self._close}
        instead = self.intervene(service)
        answer = answers[service](side, payload) if instead is None else instead
        return b"\x02\x01\x01" + bytes((service + 1,)) + len(answer).to_bytes(4) + answer

    def key(self, key_stream: bytes, index: int, size: int) -> bytes:
        """The chunk of a stream."""
        return hashlib.shake_256(key_stream + index.to_bytes(4)).digest(size)

    def _open_connect(self, side: str, payload: bytes) -> bytes:
        source, destination, rest = payload.split(b"\0", 2)
        assert source.startswith(b"qkd://")
        assert destination.startswith(b"qkd://")
        numbers = list(struct.unpack("!7I", rest[:28]))
        media_type, key_stream = rest[28:-16], rest[-16:]
        assert media_type == (b"application/json\0" if self._dialect == "c" else b"application/json".ljust(256, b"\0"))
        status = 0
        if numbers[0] > self.most_chunk_bytes:
            numbers[0], status = self.most_chunk_bytes, 7
        if not status:
            if key_stream == bytes(16):
                key_stream = uuid.UUID(int=len(self.streams) + 1).bytes
                self.streams[key_stream] = _Stream(numbers[0], self._now_s())
            elif key_stream not in self.streams:
                status = 4
            elif side in self.streams[key_stream].sides:
                status = 5
            if not status:
                self.streams[key_stream].sides.add(side)
                status = 0 if len(self.streams[key_stream].sides) == 2 else 1
        return struct.pack("!I7I", status, *numbers) + media_type + key_stream

    def _get_key(self, side: str, payload: bytes) -> bytes:
        key_stream, index, room = payload[:16], int.from_bytes(payload[16:20]), int.from_bytes(payload[20:24])
        assert len(payload) == 24 + (room if self._dialect == "c" else 0)
        stream = self.streams.get(key_stream)
        if stream is None or side not in stream.sides:
            return struct.pack("!I", 9)
        if len(stream.sides) < 2:
            return struct.pack("!I", 3)
        if room < len(self.metadata):
            return struct.pack("!II", 8, len(self.metadata))
        made = int((self._now_s() - stream.opened_s) * self.rate_bps / 8 / stream.chunk_bytes)
        if index >= made or (side, index) in stream.given:
            return struct.pack("!IIII", 2, 0, 0, 0)
        stream.given.add((side, index))
        key = self.key(key_stream, index, stream.chunk_bytes)
        parts = (struct.pack("!III", 0, index, len(key)), key, struct.pack("!I", len(self.metadata)), self.metadata)
        return b"".join(parts)

    def _close(self, side: str, payload: bytes) -> bytes:
        stream = self.streams.get(payload)
        if stream is not None:
            stream.sides.discard(side)
        return struct.pack("!I", 0)


class DirectTransport(TlsTransport):
    """To one of the devices, without a network."""

    def __init__(self, options: Etsi004Options, devices: KeyStreamDevices, side: str) -> None:
        super().__init__(options, "nowhere", 1)
        self._devices = devices
        self._side = side

    async def _exchange(self, service: Service, request: bytes) -> bytes:
        answer = self._devices.answer(self._side, request)
        length = payload_bytes(answer[:8], service)
        return answer[8 : 8 + length]


def virtual_devices(time: VirtualTime, dialect: str) -> KeyStreamDevices:
    """On virtual time."""
    return KeyStreamDevices(time.monotonic, dialect=dialect)
