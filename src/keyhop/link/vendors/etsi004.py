"""A key stream of ETSI GS QKD 004 as the device of a link. Pieces are chunks; a name is Key_stream_ID and index.

The initiator opens a stream that its device names, and sends that ID to the far end, which joins it. Indexes only rise,
and every start opens another stream, so that no chunk is asked for twice.
"""

from collections.abc import Callable, Sequence

from keyhop.core.errors import ConfigurationError
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import LinkEnd
from keyhop.link.vendors import etsi004_wire as wire
from keyhop.link.vendors.adapter import VendorAdapter
from keyhop.link.vendors.device import DeviceFault, NoKeysNow, Piece, StreamEnded
from keyhop.link.vendors.etsi004_transport import Etsi004Transport, NoAnswer, TlsTransport
from keyhop.link.vendors.etsi004_wire import Status
from keyhop.link.vendors.settings import Etsi004Options
from keyhop.link.vendors.tls import device_context

METADATA_BYTES = 1024
MAX_CHUNKS = 128
"""Of one offer."""

MAX_NOT_JOINED = 30
"""So often a device may say that the far end is not there before the stream is given up."""

MIN_CHUNK_BYTES = 16
MAX_CHUNK_BYTES = 1 << 17
_MAX_INDEX = (1 << 32) - 1
_INDEX_BYTES = 4

_TOLD = {
    Status.NO_QKD_CONNECTION: "the device has no QKD connection",
    Status.KEY_STREAM_ID_IN_USE: "the key stream's ID is in use",
    Status.QOS_NOT_MET: "the device cannot meet the QoS",
}


def make_etsi004(options: Etsi004Options, end: LinkEnd) -> VendorAdapter:
    """One end of a link. Raises ConfigurationError for an address or files that cannot be used."""
    device_context(options.ca, options.certificate, options.key, options.minimum_tls)
    host, port = _host_and_port(options.address, end)
    return VendorAdapter(
        "etsi004",
        options.role,
        Etsi004Device(options, lambda: TlsTransport(options, host, port)),
        end,
        block_bytes=options.block_bytes,
        max_rate_bps=options.max_rate_bps,
    )


class Etsi004Device:
    """One end's device; `transport_of` makes what it is talked to by."""

    def __init__(self, options: Etsi004Options, transport_of: Callable[[], Etsi004Transport]) -> None:
        self._options = options
        self._transport_of = transport_of
        self._transport: Etsi004Transport | None = None
        self._key_stream = wire.NO_KEY_STREAM
        self._chunk_bytes = options.chunk_bytes
        self._metadata_bytes = METADATA_BYTES
        self._index = 0
        self._not_joined = 0

    async def open(self, greeting: bytes | None) -> bytes:
        """OPEN_CONNECT: a stream that the device names, or the one that the far end named."""
        await self.close()
        if greeting is not None and (len(greeting) != wire.KEY_STREAM_ID_BYTES or greeting == wire.NO_KEY_STREAM):
            raise DeviceFault("the far end named no key stream")
        transport = self._transport_of()
        try:
            opened = await self._open_connect(transport, greeting or wire.NO_KEY_STREAM)
        except (DeviceFault, NoKeysNow):
            await transport.close(wire.NO_KEY_STREAM)
            raise
        self._transport, self._key_stream, self._index = transport, opened.key_stream, 0
        self._not_joined = 0
        return opened.key_stream

    async def produce(self, wanted_bytes: int) -> list[Piece]:
        """GET_KEY, for the next indexes."""
        pieces = list[Piece]()
        while len(pieces) < min(MAX_CHUNKS, -(-wanted_bytes // self._chunk_bytes)):
            try:
                index, key = await self._get_key(self._index)
            except NoAnswer:
                self._index += 1  # the device may have given that chunk, and will not give it again
                raise
            except (DeviceFault, NoKeysNow):
                if pieces:
                    break  # it will be said again
                raise
            if index < self._index or index >= _MAX_INDEX:
                raise StreamEnded("the device's indexes do not rise, or there are no more of them")
            self._index = index + 1
            pieces.append(Piece(self._key_stream + index.to_bytes(_INDEX_BYTES), key))
        return pieces

    async def copies(self, names: Sequence[bytes], sizes: Sequence[int], found: dict[bytes, KeyMaterial]) -> None:
        """GET_KEY, for the indexes that the initiator got."""
        for name in names:
            stream, number = name[: wire.KEY_STREAM_ID_BYTES], name[wire.KEY_STREAM_ID_BYTES :]
            if name in found or stream != self._key_stream or len(number) != _INDEX_BYTES:
                continue
            index, key = await self._get_key(int.from_bytes(number))
            if index == int.from_bytes(number):
                found[name] = key

    async def consume(self, names: Sequence[bytes]) -> None:
        """The device forgot them when it gave them."""

    def lost(self, names: Sequence[bytes]) -> None:
        """They cannot be given back."""

    async def close(self) -> None:
        """CLOSE."""
        transport, self._transport = self._transport, None
        key_stream, self._key_stream = self._key_stream, wire.NO_KEY_STREAM
        if transport is not None:
            await transport.close(key_stream)

    async def _open_connect(self, transport: Etsi004Transport, key_stream: bytes) -> wire.Opened:
        """A counter-proposal of the device is accepted, if its chunks are of a sensible size."""
        options = self._options
        qos = wire.Qos(
            options.chunk_bytes,
            options.max_bps,
            options.min_bps,
            timeout_ms=round(500 * options.timeout_s),
            ttl_s=options.ttl_s,
        )
        opened = await transport.open_connect(options.source, options.destination, qos, key_stream)
        if opened.status == Status.QOS_NOT_MET and opened.qos is not None:
            opened = await transport.open_connect(options.source, options.destination, opened.qos, key_stream)
        joined = key_stream != wire.NO_KEY_STREAM
        if joined and opened.status == Status.KEY_STREAM_ID_IN_USE:  # by an earlier life of this end
            opened = wire.Opened(Status.SUCCESSFUL, opened.qos or qos, key_stream)
        if opened.status not in (Status.SUCCESSFUL, Status.PEER_NOT_CONNECTED_YET):
            raise _unusable(opened.status)
        if (
            opened.qos is None
            or opened.key_stream == wire.NO_KEY_STREAM
            or (joined and opened.key_stream != key_stream)
        ):
            raise DeviceFault("the device opened a key stream without telling which")
        if not MIN_CHUNK_BYTES <= opened.qos.chunk_bytes <= MAX_CHUNK_BYTES:
            raise DeviceFault(f"the device gives chunks of {opened.qos.chunk_bytes} bytes")
        self._chunk_bytes = opened.qos.chunk_bytes
        return opened

    async def _get_key(self, index: int) -> tuple[int, KeyMaterial]:
        if self._transport is None:
            raise DeviceFault("the key stream is not open")
        got = await self._transport.get_key(self._key_stream, index, self._metadata_bytes)
        if got.status == Status.METADATA_BUFFER_TOO_SMALL:
            if not self._metadata_bytes < got.metadata_bytes <= wire.MAX_METADATA_BYTES:
                raise DeviceFault(f"the device wants to send {got.metadata_bytes} bytes of metadata")
            self._metadata_bytes = got.metadata_bytes
            got = await self._transport.get_key(self._key_stream, index, self._metadata_bytes)
        match got.status:
            case Status.SUCCESSFUL if got.key is not None and len(got.key) == self._chunk_bytes:
                self._not_joined = 0
                return got.index, got.key
            case Status.SUCCESSFUL:
                raise DeviceFault(f"the device gave a chunk that has not {self._chunk_bytes} bytes")
            case Status.INSUFFICIENT_KEY | Status.TIMED_OUT:
                raise NoKeysNow("the device has no keys now")
            case Status.PEER_NOT_CONNECTED | Status.PEER_NOT_CONNECTED_YET:
                self._not_joined += 1
                if self._not_joined > MAX_NOT_JOINED:
                    raise StreamEnded("the far end has not joined the key stream, or has left it")
                raise NoKeysNow("the far end has not joined the key stream yet")
            case Status.NO_QKD_CONNECTION:
                raise _unusable(got.status)
            case _:
                raise StreamEnded(f"the device ends the key stream (status {got.status})")


def _unusable(status: int) -> DeviceFault:
    told = {int(code): text for code, text in _TOLD.items()}
    return DeviceFault(told.get(status, f"the device answers with status {status}"))


def _host_and_port(address: str, end: LinkEnd) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise ConfigurationError(
            f"link {end.link}: address {address!r} is not host:port", hint="as in qkd.site-a:25575"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
