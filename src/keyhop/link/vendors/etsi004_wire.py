"""ETSI GS QKD 004 V2.1.1 calls as bytes.

The standard is abstract. The format here is the one of ETSI's open C implementation (qkd/gs004-app-int on
forge.etsi.org), dialect `c`, and of its Python port, dialect `python`:

    header     version major, minor, patch; service; length of the rest, 4 bytes
    OPEN_CONNECT  2 → 3   source NUL, destination NUL, QoS, Key_stream_ID  →  status, QoS, Key_stream_ID
    GET_KEY       4 → 5   Key_stream_ID, index, metadata buffer  →  status, index, key, metadata
    CLOSE         8 → 9   Key_stream_ID  →  status
    QoS        chunk bytes, max bps, min bps, jitter, priority, timeout ms, TTL s (4 bytes each), media type

Numbers are big-endian; key and metadata have their length, 4 bytes, in front. The dialects differ twice: the media type
ends with a NUL (`c`) or fills 256 bytes (`python`), and a request for a key brings a metadata buffer (`c`) or its size
only (`python`). After a status other than success the rest of an answer may be missing.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from keyhop.core.keys import KeyMaterial
from keyhop.link.vendors.device import DeviceFault

type Dialect = Literal["c", "python"]

HEADER_BYTES = 8
MAX_PAYLOAD_BYTES = 1 << 18
MAX_METADATA_BYTES = 1 << 16
KEY_STREAM_ID_BYTES = 16
NO_KEY_STREAM = bytes(KEY_STREAM_ID_BYTES)
"""In a request: the device shall choose."""

_VERSION = bytes((2, 1, 1))
_MEDIA_TYPE = b"application/json"
_FIXED_MEDIA_TYPE_BYTES = 256
_QOS = struct.Struct("!7I")


class Service(IntEnum):
    """Requests; the answer to each has the next number."""

    OPEN_CONNECT = 2
    GET_KEY = 4
    CLOSE = 8


class Status(IntEnum):
    """ETSI GS QKD 004 V2.1.1, clause 6.2."""

    SUCCESSFUL = 0
    PEER_NOT_CONNECTED_YET = 1
    INSUFFICIENT_KEY = 2
    PEER_NOT_CONNECTED = 3
    NO_QKD_CONNECTION = 4
    KEY_STREAM_ID_IN_USE = 5
    TIMED_OUT = 6
    QOS_NOT_MET = 7
    METADATA_BUFFER_TOO_SMALL = 8


@dataclass(frozen=True, slots=True)
class Qos:
    """What is asked of a key stream, or offered; rates in bits per second, jitter as the device has it."""

    chunk_bytes: int
    max_bps: int
    min_bps: int
    jitter: int = 0
    priority: int = 0
    timeout_ms: int = 5000
    ttl_s: int = 3600


@dataclass(frozen=True, slots=True)
class Opened:
    """Answer to OPEN_CONNECT. Without success, `qos` is a counter-proposal or None."""

    status: int
    qos: Qos | None
    key_stream: bytes


@dataclass(frozen=True, slots=True)
class Got:
    """Answer to GET_KEY. `metadata_bytes` is what the device needs room for, when there was too little."""

    status: int
    index: int
    key: KeyMaterial | None
    metadata_bytes: int = 0


def open_connect(source: str, destination: str, qos: Qos, key_stream: bytes, dialect: Dialect) -> bytes:
    """The request; NO_KEY_STREAM lets the device choose."""
    payload = source.encode() + b"\0" + destination.encode() + b"\0"
    return _message(Service.OPEN_CONNECT, payload + _qos(qos, dialect) + key_stream)


def get_key(key_stream: bytes, index: int, metadata_bytes: int, dialect: Dialect) -> bytes:
    """The request."""
    buffer = bytes(metadata_bytes) if dialect == "c" else b""
    return _message(Service.GET_KEY, key_stream + struct.pack("!II", index, metadata_bytes) + buffer)


def close(key_stream: bytes) -> bytes:
    """The request."""
    return _message(Service.CLOSE, key_stream)


def payload_bytes(header: bytes, request: Service) -> int:
    """How many bytes follow the header of an answer. Raises DeviceFault."""
    service, length = header[3], int.from_bytes(header[4:HEADER_BYTES])
    if service != request + 1:
        raise DeviceFault("the device answers with another service than it was asked for")
    if not 4 <= length <= MAX_PAYLOAD_BYTES:
        raise DeviceFault(f"the device announces an answer of {length} bytes")
    return length


def opened(payload: bytes) -> Opened:
    """From an answer's payload. Raises DeviceFault."""
    reader = _Reader(payload)
    status = reader.number()
    if reader.left < _QOS.size + KEY_STREAM_ID_BYTES:
        return Opened(status, None, NO_KEY_STREAM)
    chunk, most, least, jitter, priority, timeout_ms, ttl_s = _QOS.unpack(reader.take(_QOS.size))
    reader.take(reader.left - KEY_STREAM_ID_BYTES)  # the media type, in either dialect
    return Opened(
        status, Qos(chunk, most, least, jitter, priority, timeout_ms, ttl_s), reader.take(KEY_STREAM_ID_BYTES)
    )


def got(payload: bytes) -> Got:
    """From an answer's payload. Raises DeviceFault."""
    reader = _Reader(payload)
    status = reader.number()
    if status == Status.METADATA_BUFFER_TOO_SMALL:
        return Got(status, 0, None, _needed_metadata(reader))
    if status != Status.SUCCESSFUL:
        return Got(status, 0, None)
    index = reader.number()
    key = KeyMaterial(reader.take(reader.number()))
    reader.take(reader.number())  # metadata: nothing that we need
    return Got(status, index, key)


def closed(payload: bytes) -> int:
    """The status in an answer's payload. Raises DeviceFault."""
    return _Reader(payload).number()


def _needed_metadata(reader: "_Reader") -> int:
    """It is the last number that comes: alone, or after index and an empty key."""
    needed = 0
    while reader.left >= 4:
        needed = reader.number()
    return needed


def _message(service: Service, payload: bytes) -> bytes:
    return _VERSION + bytes((service,)) + len(payload).to_bytes(4) + payload


def _qos(qos: Qos, dialect: Dialect) -> bytes:
    numbers = (qos.chunk_bytes, qos.max_bps, qos.min_bps, qos.jitter, qos.priority, qos.timeout_ms, qos.ttl_s)
    media_type = _MEDIA_TYPE + b"\0" if dialect == "c" else _MEDIA_TYPE.ljust(_FIXED_MEDIA_TYPE_BYTES, b"\0")
    return _QOS.pack(*numbers) + media_type


class _Reader:
    """Takes a payload apart; DeviceFault when it ends too early."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._payload) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise DeviceFault("the device's answer ends too early")
        self._at += size
        return self._payload[self._at - size : self._at]

    def number(self) -> int:
        return int.from_bytes(self.take(4))
