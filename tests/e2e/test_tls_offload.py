"""haproxy in front of a node, configured as the guide says: it makes the TLS, the node still knows who the SAE is."""

import json
import os
import re
import socket
import stat
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w
from callers import Caller, spent

from keyhop.lab import Inventory, Lab, load_topology
from keyhop.lab.layout import Layout
from keyhop.lab.ports import free_ports
from keyhop.lab.setup import set_up
from keyhop.pki import Authority

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "tls-offload.md"
ENC = "/api/v1/keys/alicesae/enc_keys"
REQUEST = f"GET {ENC} HTTP/1.1\r\nHost: kme\r\n\r\n".encode()
TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`two-sites-paced`, with a socket for haproxy at bob; bobsae2's certificate is revoked."""
    topology, layout = load_topology("two-sites-paced"), Layout(tmp_path_factory.mktemp("offload"))
    set_up(layout, topology)
    config = layout.config("bob")
    document = tomllib.loads(config.read_text())
    document["etsi014"] |= {"proxy_socket": "saes.sock", "handshake_timeout_s": 0.4}
    config.write_text(tomli_w.dumps(document))
    Authority.load(layout.directory / "pki").revoke("bobsae2")
    lab = Lab.up(topology, layout.directory)
    yield lab
    lab.down()


@pytest.fixture
def inventory(lab: Lab) -> Inventory:
    return lab.inventory()


@pytest.fixture
def proxy_socket(lab: Lab) -> Path:
    return Path(lab.inventory().kme("bob").config).parent / "saes.sock"


@pytest.fixture(scope="module")
def haproxy(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Running; the URL at which it takes SAEs to bob."""
    directory, pki = tmp_path_factory.mktemp("haproxy"), lab.directory / "pki"
    certificate, key = Layout(lab.directory).node_certificate("bob")
    both = directory / "node-and-key.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    (port,) = free_ports(1)
    (text,) = re.findall(r"```haproxy\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    for here, there in (
        ("192.0.2.7:8443", f"127.0.0.1:{port}"),
        ("/etc/keyhop/tls/node-and-key.pem", str(both)),
        ("/etc/keyhop/tls", str(pki)),
        ("/run/keyhop/saes.sock", str(Path(lab.inventory().kme("bob").config).parent / "saes.sock")),
    ):
        assert here in text
        text = text.replace(here, there)
    (directory / "haproxy.cfg").write_text(text)
    with subprocess.Popen(["haproxy", "-db", "-f", str(directory / "haproxy.cfg")]) as process:
        try:
            deadline = time.monotonic() + TIMEOUT_S
            while not listens(port):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def curl(url: str, caller: Caller, *arguments: str, certificate: bool = True) -> subprocess.CompletedProcess[bytes]:
    shown = ("--cert", caller.cert, "--key", caller.key) if certificate else ()
    line = ["curl", "-sS", "--cacert", caller.ca, *shown, *arguments, url]
    return subprocess.run(line, capture_output=True, timeout=60, check=False)


through_haproxy = pytest.mark.requires_tool("haproxy", "curl")


@through_haproxy
def test_a_key_through_haproxy_is_the_sae_s_own(haproxy: str, inventory: Inventory) -> None:
    bob = Caller.of(inventory, "bobsae")
    done = curl(haproxy + ENC, bob, "-H", "X-SSL-Client-CN: bobsae3")
    got = json.loads(done.stdout)["keys"]
    alice = Caller.of(inventory, "alicesae")
    assert alice.dec_keys("bobsae3", got[0]["key_ID"]).status == 401
    assert alice.dec_keys("bobsae", got[0]["key_ID"]).body["keys"] == got


@through_haproxy
def test_one_connection_through_haproxy_serves_many_requests(haproxy: str, inventory: Inventory) -> None:
    done = curl(haproxy + ENC + "?number=[1-9]", Caller.of(inventory, "bobsae"), "-w", "%{num_connects}\n")
    answers = [line.rpartition("}")[2] for line in done.stdout.decode().splitlines()]
    assert answers == ["1"] + ["0"] * 8


@through_haproxy
def test_haproxy_lets_in_no_other_certificate(haproxy: str, inventory: Inventory) -> None:
    before = spent(inventory)
    without = curl(haproxy + ENC, Caller.of(inventory, "bobsae"), certificate=False)
    revoked = curl(haproxy + ENC, Caller.of(inventory, "bobsae2"))
    assert b"certificate required" in without.stderr
    assert b"certificate revoked" in revoked.stderr
    stranger = curl(haproxy + ENC, Caller.of(inventory, "alicesae"))
    assert json.loads(stranger.stdout) == {"message": "the client certificate belongs to no SAE of this KME"}
    assert spent(inventory) == before


def answer(proxy_socket: Path, sent: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect(str(proxy_socket))
        sock.sendall(sent)
        received = b""
        try:
            while chunk := sock.recv(4096):
                received += chunk
        except ConnectionResetError:
            pass
        return received


SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
NAME = b"\x22\x00\x06bobsae"
VERIFIED = b"\x20\x00\x0e\x03\x00\x00\x00\x00" + NAME


def test_the_socket_belongs_to_the_node_alone(proxy_socket: Path) -> None:
    assert stat.S_IMODE(proxy_socket.stat().st_mode) == 0o600
    assert proxy_socket.stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    "sent",
    [
        REQUEST,
        b"",
        SIGNATURE,
        SIGNATURE + b"\x20\x00\x00\x00" + REQUEST,
        SIGNATURE + b"\x21\x00\x00\x00" + REQUEST,
        SIGNATURE + b"\x21\x00\x00\x11" + VERIFIED.replace(b"\x03", b"\x01") + REQUEST,
        SIGNATURE + b"\x21\x00\x00\x11" + VERIFIED.replace(b"\x00\x00\x00\x00", b"\x00\x00\x00\x01") + REQUEST,
    ],
    ids=["no header", "silent", "half a header", "haproxy's own", "no TLS", "no certificate", "not verified"],
)
def test_without_a_verified_name_there_is_no_answer(proxy_socket: Path, inventory: Inventory, sent: bytes) -> None:
    before = spent(inventory)
    assert answer(proxy_socket, sent) == b""
    assert spent(inventory) == before
    close = REQUEST.replace(b"Host", b"Connection: close\r\nHost")
    assert answer(proxy_socket, SIGNATURE + b"\x21\x00\x00\x11" + VERIFIED + close).startswith(b"HTTP/1.1 200 OK\r\n")
