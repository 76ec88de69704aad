"""Links fed by foreign ETSI 014 KMEs, under the suite for links; then whatever such a KME may answer."""

import asyncio
import base64
import dataclasses
import hashlib
import json
import uuid
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.vendors.adapter import Role, VendorAdapter
from keyhop.link.vendors.device import DeviceFault
from keyhop.link.vendors.etsi014 import Etsi014Device, make_etsi014
from keyhop.link.vendors.etsi014_client import Etsi014Client
from keyhop.link.vendors.settings import Etsi014Options
from keyhop.pki import create_authority
from keyhop.testing.foreign_kmes import ForeignKmes
from keyhop.testing.link_conformance import LinkConformance
from keyhop.testing.link_end import LinkBench, LinkWire, WireEnd, link_end
from keyhop.testing.virtual_time import VirtualTime

BLOCK_BYTES = 512
NUMBERS = count()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pki = tmp_path_factory.mktemp("pki")
    create_authority(pki).issue_sae("near")
    return {"ca": pki / "ca.pem", "certificate": pki / "saes" / "near.pem", "key": pki / "saes" / "near.key"}


def settings(files: dict[str, Any], role: Role = "initiator", **others: Any) -> Etsi014Options:
    return Etsi014Options(
        role=role, base_url="https://kme/vendor", peer_sae_id="far/1", block_bytes=BLOCK_BYTES, **files, **others
    )


class Bench(LinkBench[VendorAdapter]):
    """Two ends whose KMEs are foreign."""

    def __init__(self, directory: Path, time: VirtualTime, files: dict[str, Any], **others: Any) -> None:
        self._directory = directory
        self._files = files
        self._others = others
        super().__init__(time)
        self.kmes = ForeignKmes(time, rate_bps=8_000)

    def ends(self) -> tuple[VendorAdapter, VendorAdapter]:
        return self._end("initiator", self.wire.near), self._end("follower", self.wire.far)

    def _end(self, role: Role, channel: WireEnd) -> VendorAdapter:
        options = settings(self._files, role, **self._others)
        device = Etsi014Device(options, lambda options: Etsi014Client(options, self.kmes.transport()))
        end = link_end(channel, self._directory / role, self.time)
        return VendorAdapter("etsi014", role, device, end, block_bytes=options.block_bytes)


class TestEtsi014Adapter(LinkConformance):
    tells_qber = False

    @pytest.fixture(autouse=True)
    def certificates(self, files: dict[str, Any]) -> None:
        self._files = files

    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[VendorAdapter, VendorAdapter]:
        self._bench = bench = getattr(self, "_bench", None) or Bench(directory, time, self._files)
        return bench.ends()


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_requests_are_as_the_standard_has_them(tmp_path: Path, files: dict[str, Any], method: str) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), files, method=method, size_bits=512)
        ends = await bench.run(5.0)
        assert bench.shared() >= 3
        paths = {request.url.raw_path.partition(b"?")[0] for request in bench.kmes.requests}
        prefix = b"/vendor/api/v1/keys/far%2F1/"
        assert paths == {prefix + b"status", prefix + b"enc_keys", prefix + b"dec_keys"}
        for request in bench.kmes.requests:
            if request.url.path.endswith("status"):
                assert (request.method, request.content) == ("GET", b"")
                continue
            assert request.method == method
            if method == "POST":
                assert request.headers["content-type"] == "application/json"
                body = json.loads(request.content)
                assert body.keys() in ({"number", "size"}, {"key_IDs"})
                assert body.get("size", 512) == 512
            else:
                assert request.content == b""
                assert set(request.url.params.keys()) in ({"number", "size"}, {"key_ID"})
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_what_the_kme_says_of_sizes_is_kept_to(tmp_path: Path, files: dict[str, Any]) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), files)
        bench.kmes.most, bench.kmes.key_bytes = 3, 16
        ends = await bench.run(5.0)
        asked = [json.loads(r.content) for r in bench.kmes.requests if r.url.path.endswith("enc_keys")]
        assert {body["size"] for body in asked} == {128}
        assert max(body["number"] for body in asked) == 3
        assert bench.shared() >= 3
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_keys_that_only_one_kme_has_are_left_out(tmp_path: Path, files: dict[str, Any]) -> None:
    """dec_keys refuses a whole batch for one key that is not there."""

    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), files)

        def lose(request: httpx.Request) -> None:
            for key_id in [each for n, each in enumerate(bench.kmes.keys) if n % 7 == 3]:
                del bench.kmes.keys[key_id]

        bench.kmes.intervene = lambda request: lose(request) if request.url.path.endswith("dec_keys") else None
        one, other = await bench.run(10.0)
        assert bench.shared() >= 5
        assert one.status().details["keys_lost"] != 0
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


def container(*items: Any) -> httpx.Response:
    return httpx.Response(200, json={"keys": items})


def key(size: int = 32, key_id: str | None = None, fill: bytes | None = None) -> dict[str, str]:
    digest = hashlib.shake_256(next(NUMBERS).to_bytes(8)).digest(16 + size)
    return {
        "key_ID": key_id or str(uuid.UUID(bytes=digest[:16])),
        "key": base64.b64encode(fill if fill is not None else digest[16:]).decode(),
    }


ID = "7c5a0f3e-0f2b-4a55-8d3c-3f1c6f0f8a11"


def refuse_certificate(request: httpx.Request) -> httpx.Response:
    return httpx.Response(401, json={"message": "SAE unknown\n\x1b[31m" + "x" * 999})


def time_out(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("timed out")


def break_off(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


FAULTS: dict[str, tuple[Callable[[httpx.Request], httpx.Response], str]] = {
    "no JSON": (lambda request: httpx.Response(200, content=b"<html>"), "not JSON"),
    "nested": (lambda request: httpx.Response(200, content=b"[" * 100_000), "not as the standard has it"),
    "empty": (lambda request: httpx.Response(200, content=b""), "not JSON"),
    "a list": (lambda request: httpx.Response(200, json=[]), "not as the standard has it"),
    "a key without ID": (lambda request: container({"key": "AAAA"}), "$.keys[0]"),
    "a number for a key": (lambda request: container({"key_ID": ID, "key": 7}), "$.keys[0].key"),
    "no UUID": (lambda request: container(key(key_id="one")), "is no UUID"),
    "no base64": (lambda request: container({"key_ID": ID, "key": "!!!!"}), "no base64"),
    "too short": (lambda request: container(key(31)), "instead of 256"),
    "too long": (lambda request: container(key(33)), "instead of 256"),
    "no bytes": (lambda request: container(key(0)), "instead of 256"),
    "an ID twice": (lambda request: container(key(key_id=ID), key(key_id=ID)), "two keys under one ID"),
    "a key twice": (lambda request: container(key(fill=bytes(32)), key(fill=bytes(32))), "the same key twice"),
    "too many": (lambda request: container(*(key() for _ in range(200))), "200 keys instead of"),
    "huge": (lambda request: httpx.Response(200, content=b" " * (1 << 21)), "longer than"),
    "compressed": (
        lambda request: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"x")),
        "compressed",
    ),
    "moved": (lambda request: httpx.Response(302, headers={"location": "https://elsewhere/"}), "HTTP 302"),
    "server error": (lambda request: httpx.Response(500, content=b"\xff\xfe"), "HTTP 500"),
    "bad request": (lambda request: httpx.Response(400, json={"message": "no"}), "refuses the request (400: no)"),
    "unauthorised": (refuse_certificate, "(401: SAE unknown  [31mxxx"),
    "time-out": (time_out, "did not answer within"),
    "broken off": (break_off, "peer closed connection"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_enc_keys_stops_the_link_with_its_reason_until_it_is_over(
    tmp_path: Path, files: dict[str, Any], fault: str
) -> None:
    async def scenario() -> None:
        answer, told = FAULTS[fault]
        bench = Bench(tmp_path, VirtualTime(), files)
        one, other = await bench.run(5.0)
        before = bench.shared()
        assert before >= 3
        bench.kmes.intervene = lambda request: answer(request) if request.url.path.endswith("enc_keys") else None
        asked = len(bench.kmes.requests)
        await bench.time.advance(40.0)
        status = one.status()
        assert status.state == "stopped"
        assert told in (status.reason or "")
        assert (status.reason or "").isprintable()
        assert len(status.reason or "") < 300
        assert bench.shared() <= before + 1
        assert len(bench.kmes.requests) - asked < 15
        bench.kmes.intervene = lambda request: None
        await bench.time.advance(40.0)
        assert one.status().state == "generating"
        assert bench.shared() > before + 5
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"bad request", "too short", "too long", "a key twice"}))
def test_a_fault_at_dec_keys_costs_no_wrong_block(tmp_path: Path, files: dict[str, Any], fault: str) -> None:
    async def scenario() -> None:
        answer, told = FAULTS[fault]
        bench = Bench(tmp_path, VirtualTime(), files)
        one, other = await bench.run(5.0)
        before = bench.shared()
        bench.kmes.intervene = lambda request: answer(request) if request.url.path.endswith("dec_keys") else None
        await bench.time.advance(40.0)
        status = other.status()
        assert status.state == "stopped"
        if fault not in ("too many", "a key twice"):
            assert told.replace("256", "0") in (status.reason or "") or told in (status.reason or "")
        assert bench.shared() <= before + 1
        bench.kmes.intervene = lambda request: None
        await bench.time.advance(40.0)
        assert other.status().state == "generating"
        assert bench.shared() > before + 5
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [31, 33, 8])
def test_copies_of_another_size_are_no_copies(tmp_path: Path, files: dict[str, Any], size: int) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), files)

        def resize(request: httpx.Request) -> httpx.Response | None:
            if not request.url.path.endswith("dec_keys"):
                return None
            return container(*(key(size, item["key_ID"]) for item in json.loads(request.content)["key_IDs"]))

        bench.kmes.intervene = resize
        one, other = await bench.run(60.0)
        assert not bench.near
        assert not bench.far
        assert "the far end finds none" in (one.status().reason or "")
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


def test_wrong_copies_of_the_right_size_are_dropped_by_both(tmp_path: Path, files: dict[str, Any]) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), files)

        def forge(request: httpx.Request) -> httpx.Response | None:
            if not request.url.path.endswith("dec_keys"):
                return None
            return container(*(key(32, item["key_ID"]) for item in json.loads(request.content)["key_IDs"]))

        bench.kmes.intervene = forge
        one, other = await bench.run(60.0)
        assert not bench.near
        assert not bench.far
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


def test_no_keys_now_is_no_fault_and_retry_after_is_heeded(tmp_path: Path, files: dict[str, Any]) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), files)
        one, other = await bench.run(5.0)
        busy = httpx.Response(503, json={"message": "later"}, headers={"retry-after": "7"})
        bench.kmes.intervene = lambda request: busy if request.url.path.endswith("enc_keys") else None
        asked = len(bench.kmes.requests)
        await bench.time.advance(21.0)
        assert one.status().state == "generating"
        assert len(bench.kmes.requests) - asked <= 4
        await bench.time.advance(20.0)
        assert "the KME has no keys now (503: later)" in (one.status().reason or "")
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


def test_certificates_are_read_again_when_the_kme_refuses_the_old_ones(tmp_path: Path, files: dict[str, Any]) -> None:
    async def scenario() -> None:
        kmes = ForeignKmes(VirtualTime())
        kmes.time.stall(100.0)
        made: list[Etsi014Options] = []

        def client(options: Etsi014Options) -> Etsi014Client:
            made.append(options)
            return Etsi014Client(options, kmes.transport())

        device = Etsi014Device(settings(files), client)
        await device.open(None)
        kmes.intervene = refuse_certificate
        for _ in range(3):
            with pytest.raises(DeviceFault, match="401"):
                await device.produce(1000)
        assert len(made) == 3
        kmes.intervene = lambda request: None
        assert await device.produce(1000)
        assert await device.produce(1000)
        assert len(made) == 4
        await device.close()

    asyncio.run(scenario())


def test_a_kme_whose_sizes_do_not_fit_is_told(tmp_path: Path, files: dict[str, Any]) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), files, size_bits=4096)
        one, other = await bench.run(5.0)
        assert one.status().reason == "keys of 4096 bits cannot be had: the KME has 64 to 1024 bits"
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


def test_files_that_cannot_be_used_are_told_before_anything_starts(tmp_path: Path, files: dict[str, Any]) -> None:
    end = link_end(LinkWire().near, tmp_path / "near", VirtualTime())
    make_etsi014(settings(files), end)
    with pytest.raises(ConfigurationError, match="authority"):
        make_etsi014(dataclasses.replace(settings(files), ca=tmp_path / "none.pem"), end)
    with pytest.raises(ConfigurationError, match="cannot use the certificate"):
        make_etsi014(dataclasses.replace(settings(files), key=files["certificate"]), end)
    open_key = tmp_path / "open.key"
    open_key.write_bytes(files["key"].read_bytes())
    open_key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="read by everybody"):
        make_etsi014(dataclasses.replace(settings(files), key=open_key), end)
