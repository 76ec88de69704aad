"""Links fed by ETSI 004 key streams, under the suite for links, in both dialects; then what devices may answer."""

import asyncio
import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.vendors.adapter import Role, VendorAdapter
from keyhop.link.vendors.device import DeviceFault
from keyhop.link.vendors.etsi004 import Etsi004Device, make_etsi004
from keyhop.link.vendors.etsi004_transport import TlsTransport
from keyhop.link.vendors.etsi004_wire import NO_KEY_STREAM, Qos, Status
from keyhop.link.vendors.settings import Etsi004Options
from keyhop.pki import create_authority
from keyhop.pki.contexts import TlsFiles, server_context
from keyhop.testing.key_stream_devices import DirectTransport, KeyStreamDevices, virtual_devices
from keyhop.testing.link_conformance import LinkConformance
from keyhop.testing.link_end import LinkBench, LinkWire, WireEnd, link_end
from keyhop.testing.virtual_time import VirtualTime

BLOCK_BYTES = 512


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    authority = create_authority(directory)
    authority.issue_node("device", ["localhost", "127.0.0.1"])
    authority.issue_sae("near")
    return directory


@pytest.fixture(scope="module")
def files(pki: Path) -> dict[str, Any]:
    return {"ca": pki / "ca.pem", "certificate": pki / "saes" / "near.pem", "key": pki / "saes" / "near.key"}


def settings(role: Role, files: dict[str, Any], **others: Any) -> Etsi004Options:
    given = {"address": "localhost:25575", "source": "qkd://a", "destination": "qkd://b"} | files | others
    return Etsi004Options(role=role, block_bytes=BLOCK_BYTES, **given)


class Bench(LinkBench[VendorAdapter]):
    """Two ends and their devices."""

    def __init__(self, directory: Path, time: VirtualTime, dialect: str = "c", **others: Any) -> None:
        self._directory = directory
        self._files = dict.fromkeys(("ca", "certificate", "key"), Path("/none"))
        self._others = others | {"dialect": dialect}
        super().__init__(time)
        self.devices = virtual_devices(time, dialect)

    def ends(self) -> tuple[VendorAdapter, VendorAdapter]:
        return self._end("initiator", self.wire.near), self._end("follower", self.wire.far)

    def _end(self, role: Role, channel: WireEnd) -> VendorAdapter:
        options = settings(role, self._files, **self._others)
        device = Etsi004Device(options, lambda: DirectTransport(options, self.devices, role))
        end = link_end(channel, self._directory / role, self.time)
        return VendorAdapter("etsi004", role, device, end, block_bytes=options.block_bytes)


class _Etsi004Conformance(LinkConformance):
    __test__ = False
    tells_qber = False
    dialect = "c"

    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[VendorAdapter, VendorAdapter]:
        self._bench = bench = getattr(self, "_bench", None) or Bench(directory, time, self.dialect)
        return bench.ends()


class TestEtsi004AdapterInC(_Etsi004Conformance):
    __test__ = True


class TestEtsi004AdapterInPython(_Etsi004Conformance):
    __test__ = True
    dialect = "python"


def test_blocks_are_the_chunks_of_the_stream_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        ends = await bench.run(5.0)
        ((stream, _),) = bench.devices.streams.items()
        chunks = b"".join(bench.devices.key(stream, index, 128) for index in range(5))
        assert bench.near[0].material.reveal() == chunks[32:]
        for end in ends:
            await end.stop()
        assert not bench.devices.streams[stream].sides

    asyncio.run(scenario())


def test_metadata_that_needs_more_room_gets_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        bench.devices.metadata = b"x" * 5000
        ends = await bench.run(5.0)
        assert bench.shared() >= 3
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def only(service: int, answer: bytes) -> Callable[[int], bytes | None]:
    return lambda asked: answer if asked == service else None


def chunk(size: int, index: int = 5000) -> bytes:
    return struct.pack("!III", 0, index, size) + bytes(size) + bytes(4)


FAULTS: dict[str, tuple[Callable[[int], bytes | None], str]] = {
    "no connection": (only(4, struct.pack("!I", 4)), "the device has no QKD connection"),
    "the stream ended": (only(4, struct.pack("!I", 9)), "the device ends the key stream (status 9)"),
    "no key": (only(4, struct.pack("!I", 2)), "the device has no keys now"),
    "too short": (only(4, chunk(127)), "a chunk that has not 128 bytes"),
    "cut off": (only(4, chunk(128)[:-40]), "ends too early"),
    "index goes back": (only(4, chunk(128, 0)), "indexes do not rise"),
    "endless metadata": (only(4, struct.pack("!II", 8, 1 << 30)), "1073741824 bytes of metadata"),
    "huge": (only(4, bytes(1 << 19)), "announces an answer of 524288 bytes"),
    "empty": (only(4, b""), "announces an answer of 0 bytes"),
    "nonsense": (only(4, b"\xff" * 100), "status 4294967295"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_initiators_device_stops_the_link_until_it_is_over(tmp_path: Path, fault: str) -> None:
    async def scenario() -> None:
        intervene, told = FAULTS[fault]
        bench = Bench(tmp_path, VirtualTime())
        one, other = await bench.run(5.0)
        before = bench.shared()
        assert before >= 3
        bench.devices.intervene = intervene
        reasons = set()
        for _ in range(160):
            await bench.time.advance(0.25)
            reasons.add(one.status().reason or "")
        assert any(told in reason for reason in reasons)
        assert bench.shared() <= before + 2
        bench.devices.intervene = lambda service: None
        await bench.time.advance(100.0)
        assert one.status().state == "generating"
        assert bench.shared() > before + 5
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (struct.pack("!I", 4), "the device has no QKD connection"),
        (struct.pack("!I", 5), "the key stream's ID is in use"),
        (struct.pack("!I", 0), "without telling which"),
        (struct.pack("!I7I", 0, 1 << 30, *[1] * 6) + b"x\0" + b"k" * 16, "chunks of 1073741824 bytes"),
        (struct.pack("!I7I", 7, 64, *[1] * 6) + b"x\0" + b"k" * 16, "cannot meet the QoS"),
        (struct.pack("!I", 77), "status 77"),
        (b"", "announces an answer of 0 bytes"),
    ],
)
def test_a_stream_that_cannot_be_opened_is_told_and_tried_again(tmp_path: Path, answer: bytes, told: str) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        bench.devices.intervene = only(2, answer)
        one, other = await bench.run(5.0)
        assert told in (one.status().reason or "")
        bench.devices.intervene = lambda service: None
        await bench.time.advance(40.0)
        assert one.status().state == "generating"
        assert bench.shared() > 5
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


def test_a_follower_whose_device_lost_the_stream_gets_another_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        one, other = await bench.run(5.0)
        before = bench.shared()
        next(iter(bench.devices.streams.values())).sides.discard("follower")
        await bench.time.advance(120.0)
        assert len(bench.devices.streams) == 2
        assert bench.shared() > before + 5
        assert one.status().state == other.status().state == "generating"
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


async def serve(pki: Path, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> asyncio.Server:
    tls = server_context(TlsFiles(pki / "ca.pem", pki / "nodes" / "device.pem", pki / "nodes" / "device.key"))
    return await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)


def transport(server: asyncio.Server, files: dict[str, Any], **others: Any) -> TlsTransport:
    port = server.sockets[0].getsockname()[1]
    return TlsTransport(settings("initiator", files, **others), "127.0.0.1", port)


@pytest.mark.parametrize("keeps", [True, False])
def test_over_tls_with_devices_that_keep_the_connection_and_that_do_not(
    pki: Path, files: dict[str, Any], keeps: bool
) -> None:
    async def scenario() -> None:
        devices = KeyStreamDevices(lambda: 1000.0 * len(devices.streams))
        connections = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            try:
                while True:
                    header = await reader.readexactly(8)
                    payload = await reader.readexactly(int.from_bytes(header[4:]))
                    writer.write(devices.answer("near", header + payload))
                    await writer.drain()
                    if not keeps:
                        break
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await serve(pki, talk)
        client = transport(server, files)
        opened = await client.open_connect("qkd://a", "qkd://b", Qos(128, 1, 1), NO_KEY_STREAM)
        assert opened.status == Status.PEER_NOT_CONNECTED_YET
        devices.streams[opened.key_stream].sides.add("far")
        devices.streams[opened.key_stream].opened_s = 0.0
        for index in range(5):
            got = await client.get_key(opened.key_stream, index, 64)
            assert got.key is not None
            assert got.key.reveal() == devices.key(opened.key_stream, index, 128)
        await client.close(opened.key_stream)
        assert devices.streams[opened.key_stream].sides == {"far"}
        assert connections == (1 if keeps else 7)
        server.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "closed the connection without an answer"),
        (b"\x02\x01\x01\x05\x00\x00", "closed the connection without an answer"),
        (b"\x02\x01\x01\x05\xff\xff\xff\xff", "announces an answer of 4294967295 bytes"),
        (b"\x02\x01\x01\x03\x00\x00\x00\x04\x00\x00\x00\x00", "another service"),
    ],
)
def test_what_is_no_answer_is_told(pki: Path, files: dict[str, Any], answer: bytes, told: str) -> None:
    async def scenario() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(8)
            writer.write(answer)
            writer.close()

        server = await serve(pki, talk)
        with pytest.raises(DeviceFault, match=told):
            await transport(server, files).get_key(bytes(16), 0, 0)
        server.close()

    asyncio.run(scenario())


def test_a_device_that_says_nothing_is_not_waited_for_long(pki: Path, files: dict[str, Any]) -> None:
    async def scenario() -> None:
        silent = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await silent.wait()
            writer.close()

        server = await serve(pki, talk)
        with pytest.raises(DeviceFault, match=r"the device at 127\.0\.0\.1:\d+ did not answer within 0\.3 s"):
            await transport(server, files, timeout_s=0.3).get_key(bytes(16), 0, 0)
        silent.set()
        server.close()

    asyncio.run(scenario())


def test_a_device_with_another_name_is_refused(pki: Path, files: dict[str, Any]) -> None:
    async def scenario() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await serve(pki, talk)
        with pytest.raises(
            DeviceFault, match=r"^cannot reach the device at 127\.0\.0\.1:\d+: certificate verify failed: [A-Z][^(\[]+$"
        ):
            await transport(server, files, server_name="another").get_key(bytes(16), 0, 0)
        server.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:0", "host:65536", "host:x"])
def test_an_address_that_is_none_is_told(tmp_path: Path, files: dict[str, Any], address: str) -> None:
    end = link_end(LinkWire().near, tmp_path / "near", VirtualTime())
    make_etsi004(settings("initiator", files), end)
    with pytest.raises(ConfigurationError, match="is not host:port"):
        make_etsi004(dataclasses.replace(settings("initiator", files), address=address), end)
