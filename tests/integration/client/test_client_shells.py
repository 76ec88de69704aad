"""Both shells of the client against a real HTTPS server with mutual TLS."""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from foreign_kme import ForeignKme, Pem, TestAuthority, foreign_kme

from keyhop.apps.client import (
    AsyncClient,
    Client,
    ClientError,
    KeyContainer,
    ProtocolError,
    Status,
    TransportError,
    Unavailable,
    mutual_tls,
)

SECRET = b"a very secret string of 32 bytes"
SECRET_TEXT = base64.b64encode(SECRET).decode()
KEY_ID = uuid4()
CONTAINER = json.dumps({"keys": [{"key_ID": str(KEY_ID), "key": SECRET_TEXT}]}).encode()
STATUS_TEXT = {"source_KME_ID": "k1", "target_KME_ID": "k2", "master_SAE_ID": "alicesae", "slave_SAE_ID": "bob/sae"}
STATUS_COUNTS = dict.fromkeys(("stored_key_count", "max_key_count", "max_key_per_request", "max_SAE_ID_count"), 9) | {
    "key_size": 256,
    "min_key_size": 64,
    "max_key_size": 1024,
}

type Shell = Callable[..., Status | KeyContainer]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("pki"), "authority")


@pytest.fixture(scope="module")
def alice(authority: TestAuthority) -> Pem:
    return authority.issue("alicesae")


@pytest.fixture(scope="module")
def tls(authority: TestAuthority, alice: Pem) -> ssl.SSLContext:
    return mutual_tls(ca=authority.ca, certificate=alice.certificate, key=alice.key)


@pytest.fixture
def kme(authority: TestAuthority) -> Iterator[ForeignKme]:
    with foreign_kme(authority.issue("kme", "127.0.0.1"), authority.ca) as running:
        yield running


@pytest.fixture(params=["blocking", "asyncio"])
def call(request: pytest.FixtureRequest, tls: ssl.SSLContext) -> Shell:
    """One call by its name, through a client of the kind under test."""

    def blocking(kme: ForeignKme, name: str, *args: object, tls: ssl.SSLContext = tls, **kwargs: object) -> object:
        options = {option: kwargs.pop(option) for option in list(kwargs) if option in OPTIONS}
        with Client(kme.url, tls, **options) as client:  # type: ignore[arg-type]
            return getattr(client, name)(*args, **kwargs)

    async def whole(kme: ForeignKme, name: str, *args: object, tls: ssl.SSLContext = tls, **kwargs: object) -> object:
        options = {option: kwargs.pop(option) for option in list(kwargs) if option in OPTIONS}
        async with AsyncClient(kme.url, tls, **options) as client:  # type: ignore[arg-type]
            return await getattr(client, name)(*args, **kwargs)

    if request.param == "blocking":
        return blocking  # type: ignore[return-value]
    return lambda *args, **kwargs: asyncio.run(whole(*args, **kwargs))  # type: ignore[return-value]


OPTIONS = {"timeout_s", "max_response_bytes", "always_post"}


def test_status(kme: ForeignKme, call: Shell) -> None:
    kme.body = json.dumps(STATUS_TEXT | STATUS_COUNTS).encode()
    status = call(kme, "get_status", "bob/sae")
    assert isinstance(status, Status)
    assert (status.slave_sae_id, status.stored_key_count) == ("bob/sae", 9)
    (seen,) = kme.seen
    assert (seen.method, seen.target, seen.sae) == ("GET", "/api/v1/keys/bob%2Fsae/status", "alicesae")
    assert seen.headers["Accept"] == "application/json"


def test_get_key(kme: ForeignKme, call: Shell) -> None:
    kme.body = CONTAINER
    container = call(kme, "get_key", "bobsae", number=1, size_bits=256)
    assert isinstance(container, KeyContainer)
    assert (container.keys[0].key_id, container.keys[0].secret.reveal()) == (KEY_ID, SECRET)
    assert kme.seen[0].target == "/api/v1/keys/bobsae/enc_keys?number=1&size=256"


def test_get_key_with_all_it_can_carry(kme: ForeignKme, call: Shell) -> None:
    kme.body = CONTAINER
    call(
        kme,
        "get_key",
        "bobsae",
        additional_slaves=["carolsae"],
        extension_mandatory={"x_route": "direct"},
        extension_optional={"x_hint": 1},
    )
    (seen,) = kme.seen
    assert (seen.method, seen.headers["Content-Type"]) == ("POST", "application/json")
    assert json.loads(seen.body) == {
        "additional_slave_SAE_IDs": ["carolsae"],
        "extension_mandatory": [{"x_route": "direct"}],
        "extension_optional": [{"x_hint": 1}],
    }


@pytest.mark.parametrize(("always_post", "method"), [(False, "GET"), (True, "POST")])
def test_get_key_with_ids(kme: ForeignKme, call: Shell, always_post: bool, method: str) -> None:
    kme.body = CONTAINER
    container = call(kme, "get_key_with_ids", "bobsae", [KEY_ID], always_post=always_post)
    assert isinstance(container, KeyContainer)
    assert container.keys[0].secret.reveal() == SECRET
    assert kme.seen[0].method == method


def test_a_refusal_with_its_reason(kme: ForeignKme, call: Shell) -> None:
    kme.code, kme.body, kme.headers = 503, b'{"message": "stream is empty"}', {"Retry-After": "3"}
    with pytest.raises(Unavailable, match="stream is empty") as error:
        call(kme, "get_key", "bobsae")
    assert error.value.retry_after_s == 3


def test_a_redirect_is_not_followed(kme: ForeignKme, call: Shell) -> None:
    kme.code, kme.headers = 307, {"Location": f"{kme.url}/elsewhere"}
    with pytest.raises(ProtocolError, match="code 307"):
        call(kme, "get_key", "bobsae")
    assert len(kme.seen) == 1


def test_a_body_without_end_is_cut_off(kme: ForeignKme, call: Shell) -> None:
    # Chunked, so that no length is announced.
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    kme.raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 40
    with pytest.raises(ProtocolError, match="over 100000 bytes"):
        call(kme, "get_key", "bobsae", max_response_bytes=100_000)


def test_a_compressed_answer_is_refused(kme: ForeignKme, call: Shell) -> None:
    kme.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(ProtocolError, match="compressed"):
        call(kme, "get_key", "bobsae")
    assert kme.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + CONTAINER,
        CONTAINER,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CONTAINER + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + CONTAINER + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_is_not_quoted(kme: ForeignKme, call: Shell, raw: bytes) -> None:
    kme.raw = raw
    with pytest.raises(TransportError, match="closed the connection or sent what is not HTTP") as error:
        call(kme, "get_key", "bobsae")
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
    assert SECRET_TEXT not in repr(vars(error.value))


def test_a_kme_that_stalls_is_given_up(kme: ForeignKme, call: Shell) -> None:
    kme.stalled = True
    with pytest.raises(TransportError, match="time limit"):
        call(kme, "get_key", "bobsae", timeout_s=0.2)
    assert len(kme.seen) == 1


def test_a_kme_that_drips_is_given_up(kme: ForeignKme, call: Shell) -> None:
    kme.raw, kme.dripping = b"HTTP/1.1 200 OK\r\n\r\n", True
    with pytest.raises(TransportError, match="time limit"):
        call(kme, "get_key", "bobsae", timeout_s=0.2)


def test_nobody_listens(kme: ForeignKme, call: Shell) -> None:
    with pytest.raises(TransportError, match=r"Connection refused|connection attempts failed"):
        call(ForeignKme(port=1), "get_status", "bobsae")


def test_a_kme_of_an_unknown_authority(authority: TestAuthority, call: Shell, tmp_path: Path) -> None:
    stranger = TestAuthority(tmp_path, "stranger").issue("kme", "127.0.0.1")
    with foreign_kme(stranger, authority.ca) as kme:
        with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
            call(kme, "get_status", "bobsae")
        assert kme.seen == []


def test_a_kme_under_another_name(authority: TestAuthority, call: Shell) -> None:
    with foreign_kme(authority.issue("elsewhere", "kme.example"), authority.ca) as kme:
        with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
            call(kme, "get_status", "bobsae")
        assert kme.seen == []


def test_an_sae_that_the_kme_does_not_know(
    kme: ForeignKme, authority: TestAuthority, call: Shell, tmp_path: Path
) -> None:
    mallory = TestAuthority(tmp_path, "stranger").issue("mallory")
    wrong = mutual_tls(ca=authority.ca, certificate=mallory.certificate, key=mallory.key)
    with pytest.raises(TransportError):
        call(kme, "get_status", "bobsae", tls=wrong)
    assert kme.seen == []


def test_one_connection_serves_many_calls(kme: ForeignKme, tls: ssl.SSLContext) -> None:
    kme.body = CONTAINER

    async def many() -> list[KeyContainer]:
        async with AsyncClient(kme.url, tls) as client:
            return await asyncio.gather(*(client.get_key("bobsae") for _ in range(10)))

    assert len(asyncio.run(many())) == 10
    assert len(kme.seen) == 10


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "https://",
        "127.0.0.1:1",
        "https://u:p@kme",
        "https://kme?x=1",
        "https://kme#x",
        "https://kme:99999999",
        "",
    ],
)
def test_urls_that_are_no_kme(url: str, tls: ssl.SSLContext) -> None:
    for shell in (Client, AsyncClient):
        with pytest.raises(ValueError, match="URL"):
            shell(url, tls)


def test_a_path_in_front_of_the_api_is_kept(kme: ForeignKme, tls: ssl.SSLContext) -> None:
    kme.body = CONTAINER
    with Client(f"{kme.url}/site/a/", tls) as client:
        client.get_key("bobsae")
    assert kme.seen[0].target == "/site/a/api/v1/keys/bobsae/enc_keys"


def test_session_secrets_are_not_logged(
    kme: ForeignKme, authority: TestAuthority, alice: Pem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "secrets"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    kme.body = CONTAINER
    tls = mutual_tls(ca=authority.ca, certificate=alice.certificate, key=alice.key)
    with Client(kme.url, tls) as client:
        client.get_key("bobsae")
    assert not log.exists()


def test_tls_files_that_cannot_be_used(authority: TestAuthority, alice: Pem, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for ca in (empty, tmp_path / "absent.pem", tmp_path):
        with pytest.raises(ClientError, match=f"authority {ca}"):
            mutual_tls(ca=ca, certificate=alice.certificate, key=alice.key)
    absent = tmp_path / "absent.pem"
    with pytest.raises(ClientError, match=f"the certificate {absent} cannot be read: No such file"):
        mutual_tls(ca=authority.ca, certificate=absent, key=alice.key)
    with pytest.raises(ClientError, match=f"the key {absent} cannot be read: No such file"):
        mutual_tls(ca=authority.ca, certificate=alice.certificate, key=absent)
    with pytest.raises(ClientError, match=f"key {empty}"):
        mutual_tls(ca=authority.ca, certificate=alice.certificate, key=empty)
    other = authority.issue("othersae")
    with pytest.raises(ClientError, match="cannot be used"):
        mutual_tls(ca=authority.ca, certificate=alice.certificate, key=other.key)
