"""What bad input gets from a running node: status, words, JSON, and that it costs no key.

Words that the standard has are the standard's; the others stand in docs/reference/etsi014.md.
"""

import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from callers import JSON, TIMEOUT_S, Caller, spent

from keyhop.lab import Inventory, Lab
from keyhop.pki import Authority

KEYS = "/api/v1/keys"
ENC = f"{KEYS}/alicesae/enc_keys"
DEC = f"{KEYS}/alicesae/dec_keys"
STATUS = f"{KEYS}/alicesae/status"
MAX_BODY_BYTES = 64 * 1024

FORMAT = "the body does not fit the data format: ..."
IN_QUERY = "shall be a decimal integer from 0 to 2147483648"
METHODS = "the methods here are: GET, POST"
CONTAINERS = "the body shall have at most 512 objects and arrays"
NESTED = "the body is not valid JSON, or nested deeper than 16"
NOBODY = "the client certificate belongs to no SAE of this KME"
NOT_FOUND = "one or more keys specified are not found on KME"
NUMBER = "number shall be between 1 and 1024"
SAME = "master and slave SAE shall be different"
SIZE = "size shall be between 64 and 8192"
TOO_LARGE = "the body shall have at most 65536 bytes"
TWICE = "the body names a member twice in one object"
TYPE = "content type shall be application/json"
UNKNOWN = "SAE_ID is not known to this KME"
UNKNOWN_PARAMETER = "unknown query parameter; known here: ..."
UUID = "key_ID shall be a UUID"

SOME_ID = "550e8400-e29b-41d4-a716-446655440000"


class Bad(NamedTuple):
    """One request of bobsae at bob, and what it gets; `...` ends words of which only the beginning is promised."""

    name: str
    method: str
    target: str
    body: bytes | None
    message: str
    status: int = 400
    headers: dict[str, str] = JSON


def get(name: str, target: str, message: str, status: int = 400) -> Bad:
    return Bad(name, "GET", target, None, message, status, {})


def post(name: str, body: bytes, message: str, target: str = ENC, headers: dict[str, str] = JSON) -> Bad:
    return Bad(name, "POST", target, body, message, headers=headers)


def ids(*texts: str) -> bytes:
    return json.dumps({"key_IDs": [{"key_ID": text} for text in texts]}).encode()


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


BODIES = [
    post("cut short", b'{"number":', "the body is not valid JSON"),
    post("a form", b"number=1", "the body is not valid JSON"),
    post("not UTF-8", b'{"number":"\xff"}', "the body is not UTF-8"),
    post("an array", b"[]", FORMAT),
    post("a byte too large", b'{"number":1}'.ljust(MAX_BODY_BYTES + 1), TOO_LARGE),
    post("500 deep", deep(500), NESTED),
    post("5000 deep and open", b"[" * 5_000, CONTAINERS),
    post("deep in an extension", b'{"extension_optional":[{"x":%b}]}' % deep(500), NESTED),
    post("number twice", b'{"number":1,"number":1}', TWICE),
    post("twice far down", b'{"extension_optional":[{"x":{"a":1,"a":1}}]}', TWICE),
    post("NaN", b'{"number":NaN}', "the body has NaN, which is not JSON"),
    post("Infinity", b'{"size":Infinity}', "the body has Infinity, which is not JSON"),
    post("overflow", b'{"size":1e999}', "the body has a number out of range"),
    post("misspelt", b'{"nmuber":1}', FORMAT),
]

NUMBERS = [
    post(f"number {value}", b'{"number":%b}' % value.encode(), message)
    for value, message in (
        ("0", NUMBER),
        ("1025", NUMBER),
        ("1000000000", NUMBER),
        ("-1", FORMAT),
        ("1e9", FORMAT),
        ("1e3", FORMAT),
        ("1.5", FORMAT),
        ("1.0", FORMAT),
        ("true", FORMAT),
        ('"1"', FORMAT),
        ("[1]", FORMAT),
        ("1" * 4000, FORMAT),
    )
]

SIZES = [
    post(f"size {value}", b'{"size":%b}' % value.encode(), message)
    for value, message in (
        ("12", "size shall be a multiple of 8"),
        ("257", "size shall be a multiple of 8"),
        ("7", "size shall be a multiple of 8"),
        ("0", SIZE),
        ("56", SIZE),
        ("8200", SIZE),
        ("1000000000", SIZE),
        ("-8", FORMAT),
        ("true", FORMAT),
        ("256.0", FORMAT),
    )
]

QUERIES = [
    *(
        get(f"?number={value}", f"{ENC}?number={value}", f"number {IN_QUERY}")
        for value in ("-1", "1e9", "true", "1.5", "+1", "NaN", "99999999999", "%EF%BC%91")
    ),
    get("?number=0", f"{ENC}?number=0", NUMBER),
    get("?number=1000000000", f"{ENC}?number=1000000000", NUMBER),
    get("?size=12", f"{ENC}?size=12", "size shall be a multiple of 8"),
    get("?size=8200", f"{ENC}?size=8200", SIZE),
    get("number is empty", f"{ENC}?number=", "query parameter number is empty"),
    get("number twice in the query", f"{ENC}?number=1&number=1", "query parameter number shall be given once"),
    get("unknown parameter", f"{ENC}?count=1", UNKNOWN_PARAMETER),
    get("parameter of the other call", f"{ENC}?key_ID={SOME_ID}", UNKNOWN_PARAMETER),
    get("extension by GET", f"{ENC}?extension_mandatory=x", UNKNOWN_PARAMETER),
    get("broken escape", f"{ENC}?number=%zz", "the query is not correctly percent-encoded"),
    get("query on status", f"{STATUS}?number=1", "this request takes no query parameters"),
    post("query on POST", b'{"number":1}', "this request takes no query parameters", f"{ENC}?number=1"),
    get("two key_ID", f"{DEC}?key_ID={SOME_ID}&key_ID={SOME_ID}", "query parameter key_ID shall be given once"),
    get("no key_ID", DEC, "key_ID is required"),
]

SAES = [
    get("unknown slave", f"{KEYS}/nobody/enc_keys", UNKNOWN),
    get("unknown slave's status", f"{KEYS}/nobody/status", UNKNOWN),
    get("unknown master", f"{KEYS}/nobody/dec_keys?key_ID={SOME_ID}", UNKNOWN),
    get("own ID as slave", f"{KEYS}/bobsae/enc_keys", SAME),
    get("own ID in status", f"{KEYS}/bobsae/status", SAME),
    get("own ID as master", f"{KEYS}/bobsae/dec_keys?key_ID={SOME_ID}", SAME),
    get("no SAE", f"{KEYS}//enc_keys", "SAE_ID shall be 1 to 64 visible characters"),
    get("an SAE too long", f"{KEYS}/{'a' * 65}/enc_keys", "SAE_ID shall be 1 to 64 visible characters"),
    get("an SAE with a NUL", f"{KEYS}/alicesae%00/enc_keys", "SAE_ID shall be 1 to 64 visible characters"),
    get("another case", f"{KEYS}/AliceSAE/enc_keys", UNKNOWN),
    post("unknown additional slave", b'{"additional_slave_SAE_IDs":["nobody"]}', UNKNOWN),
    post("own ID as additional slave", b'{"additional_slave_SAE_IDs":["bobsae"]}', SAME),
    post(
        "slave also additional",
        b'{"additional_slave_SAE_IDs":["alicesae"]}',
        "additional_slave_SAE_IDs shall not name an SAE twice, nor the one in the path",
    ),
]

IDS = [
    *(
        get(f"key_ID {text}", f"{DEC}?key_ID={text}", UUID)
        for text in ("1", SOME_ID.replace("-", ""), f"%7B{SOME_ID}%7D", f"urn:uuid:{SOME_ID}", SOME_ID[:-1] + "g")
    ),
    get("unknown key_ID", f"{DEC}?key_ID={SOME_ID}", NOT_FOUND),
    post("unknown key_IDs", ids(SOME_ID, str(uuid.uuid4())), NOT_FOUND, DEC),
    post("bad UUID among others", ids(SOME_ID, "../../etc/passwd"), UUID, DEC),
    post("same ID twice", ids(SOME_ID, SOME_ID), "the same key_ID is given twice", DEC),
    post("same ID in two cases", ids(SOME_ID, SOME_ID.upper()), "the same key_ID is given twice", DEC),
    post("no IDs", b'{"key_IDs":[]}', FORMAT, DEC),
    post("an ID that is a number", b'{"key_IDs":[{"key_ID":1}]}', FORMAT, DEC),
    post("empty body for dec_keys", b"", "key_IDs is required", DEC),
    post(
        "too many IDs",
        ids(*(str(uuid.UUID(int=n)) for n in range(1025))),
        "at most 1024 keys can be asked for at a time",
        DEC,
    ),
]

EXTENSIONS = [
    post(
        "unsupported mandatory extension",
        b'{"extension_mandatory":[{"vendor_colour":"red"}]}',
        "not all extension_mandatory parameters are supported",
    ),
    post(
        "mandatory extension that cannot be met",
        b'{"extension_mandatory":[{"keyhop_route_type":"teleport"}]}',
        "not all extension_mandatory request options could be met",
    ),
]

HTTP = [
    *(Bad(f"{method} enc_keys", method, ENC, None, METHODS, 405, {}) for method in ("PUT", "DELETE", "PATCH")),
    Bad("PUT dec_keys", "PUT", DEC, ids(SOME_ID), METHODS, 405),
    Bad("POST status", "POST", STATUS, b"{}", "the methods here are: GET", 405),
    get("another path", "/api/v2/keys/alicesae/enc_keys", "there is nothing at this path", 404),
    get("nothing behind the verb", f"{ENC}/", "there is nothing at this path", 404),
    post("text", b'{"number":1}', TYPE, headers={"Content-Type": "text/plain"}),
    post("a form's type", b"number=1", TYPE, headers={"Content-Type": "application/x-www-form-urlencoded"}),
    post("another charset", b'{"number":1}', TYPE, headers={"Content-Type": "application/json; charset=utf-16"}),
    post("no type", b'{"number":1}', TYPE, headers={}),
    Bad("GET with a body", "GET", ENC, b'{"number":1}', "a GET request shall have no body"),
]

TABLE = [*BODIES, *NUMBERS, *SIZES, *QUERIES, *SAES, *IDS, *EXTENSIONS, *HTTP]


@pytest.fixture
def bob(inventory: Inventory) -> Caller:
    return Caller.of(inventory, "bobsae")


@pytest.fixture
def alice(inventory: Inventory) -> Caller:
    return Caller.of(inventory, "alicesae")


@pytest.fixture
def costs_nothing(inventory: Inventory) -> Iterator[None]:
    before = spent(inventory)
    yield
    assert spent(inventory) == before


def says(message: str, promised: str) -> bool:
    beginning, rest, _ = promised.partition("...")
    return message.startswith(beginning) if rest else message == promised


@pytest.mark.usefixtures("costs_nothing")
@pytest.mark.parametrize("bad", TABLE, ids=[bad.name for bad in TABLE])
def test_bad_input(bob: Caller, bad: Bad) -> None:
    answer = bob.ask(bad.method, bad.target, bad.body, bad.headers)
    assert answer.status == bad.status
    assert says(answer.message, bad.message), answer.message
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.body) <= {"message", "details"}


def test_what_is_just_good_enough_is_served(bob: Caller) -> None:
    """The table's requests are refused for what is wrong with them and not for something else."""
    largest = b'{"number":1}'.ljust(MAX_BODY_BYTES)
    assert bob.ask("POST", ENC, largest, JSON).status == 200
    assert bob.ask("POST", ENC, b"", {}).status == 200
    assert bob.ask("POST", ENC, b"{}", {"Content-Type": "application/json; charset=utf-8"}).status == 200
    assert bob.ask("GET", f"{ENC}?number=1&size=64").status == 200
    assert bob.ask("GET", f"{KEYS}/%61licesae/enc_keys?size=8192").status == 200


@pytest.mark.usefixtures("costs_nothing")
def test_405_says_what_is_allowed_and_head_has_no_body(bob: Caller) -> None:
    assert bob.ask("DELETE", ENC).headers["allow"] == "GET, POST"
    assert bob.ask("DELETE", STATUS).headers["allow"] == "GET"
    answer = bob.ask("HEAD", ENC)
    assert (answer.status, answer.body) == (405, None)


@pytest.mark.usefixtures("costs_nothing")
def test_details_name_what_was_wrong(bob: Caller) -> None:
    assert bob.ask("GET", f"{DEC}?key_ID={SOME_ID}").body["details"] == [{"key_ID": SOME_ID}]
    body = b'{"extension_mandatory":[{"vendor_a":1},{"keyhop_provenance":true},{"vendor_b":2}]}'
    details = bob.ask("POST", ENC, body, JSON).body["details"]
    assert [detail["extension_mandatory"] for detail in details] == ["vendor_a", "vendor_b"]


@pytest.mark.usefixtures("costs_nothing")
@pytest.mark.parametrize(
    "sent",
    [b"rubbish\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"GET /" + b"a" * 20_000],
    ids=["no HTTP", "no version", "TLS in TLS", "endless target"],
)
def test_what_is_not_http_gets_400_in_json(bob: Caller, sent: bytes) -> None:
    with (
        socket.create_connection(bob.address, timeout=TIMEOUT_S) as plain,
        bob.context().wrap_socket(plain, server_hostname=bob.address[0]) as tls,
    ):
        tls.sendall(sent)
        received = b""
        while not received.endswith(b"}"):
            received += tls.recv(4096) or b"}"
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head
    assert set(json.loads(body)) == {"message"}


def test_one_bad_id_among_good_ones_consumes_nothing(bob: Caller, alice: Caller, inventory: Inventory) -> None:
    got = bob.enc_keys("alicesae", number=3)
    first, second, third = (key["key_ID"] for key in got)
    (foreign,) = bob.enc_keys("alicesae2")
    before = spent(inventory)

    refused = alice.dec_keys("bobsae", first, SOME_ID, second, third)
    assert (refused.status, refused.message) == (400, NOT_FOUND)
    assert refused.body["details"] == [{"key_ID": SOME_ID}]
    refused = alice.dec_keys("bobsae", first, second, foreign["key_ID"])
    assert refused.status == 401
    assert spent(inventory) == before

    fetched = alice.dec_keys("bobsae", third, first, second)
    assert fetched.body["keys"] == [got[2], got[0], got[1]]
    refused = alice.dec_keys("bobsae", first)
    assert (refused.status, refused.message) == (400, NOT_FOUND)


def test_one_bad_id_among_multicast_keys_consumes_nothing(bob: Caller, alice: Caller, inventory: Inventory) -> None:
    got = bob.enc_keys("alicesae", number=2, additional_slave_SAE_IDs=["alicesae2"])
    good = [key["key_ID"] for key in got]
    before = spent(inventory)
    refused = alice.dec_keys("bobsae", *good, SOME_ID)
    assert (refused.status, refused.message) == (400, NOT_FOUND)
    assert spent(inventory) == before
    for slave in (alice, Caller.of(inventory, "alicesae2")):
        assert slave.dec_keys("bobsae", *good).body["keys"] == got
        refused = slave.dec_keys("bobsae", *good)
        assert (refused.status, refused.message) == (400, NOT_FOUND)


def test_401_for_keys_of_others_400_for_keys_that_are_not_there(
    bob: Caller, alice: Caller, inventory: Inventory
) -> None:
    (got,) = bob.enc_keys("alicesae")
    before = spent(inventory)
    other_slave = Caller.of(inventory, "alicesae2").dec_keys("bobsae", got["key_ID"])
    other_master = alice.dec_keys("bobsae2", got["key_ID"])
    assert (other_slave.status, other_master.status) == (401, 401)
    assert other_slave.headers["content-type"] == "application/json"
    assert bob.dec_keys("alicesae", got["key_ID"]).status == 400
    assert spent(inventory) == before
    assert alice.dec_keys("bobsae", got["key_ID"]).body["keys"] == [got]


CLAIMS = {
    "X-SSL-Client-CN": "bobsae",
    "X-SSL-Client-S-DN": "CN=bobsae",
    "X-Client-Cert": "bobsae",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-User": "bobsae",
    "Forwarded": "for=bobsae;proto=https",
    "Authorization": "Basic Ym9ic2FlOmJvYnNhZQ==",
}


@pytest.mark.usefixtures("costs_nothing")
@pytest.mark.parametrize("headers", [{}, CLAIMS], ids=["plainly", "with headers that claim it"])
@pytest.mark.parametrize("target", [ENC, STATUS, f"{DEC}?key_ID={SOME_ID}"])
def test_an_sae_of_another_kme_is_nobody_here(inventory: Inventory, target: str, headers: dict[str, str]) -> None:
    answer = Caller.of(inventory, "alicesae2", kme="bob").ask("GET", target, headers=headers)
    assert (answer.status, answer.message) == (401, NOBODY)


@pytest.mark.usefixtures("costs_nothing")
def test_a_certificate_that_no_sae_has_is_nobody(two_sites: Lab, inventory: Inventory) -> None:
    authority = Authority.load(two_sites.directory / "pki")
    authority.issue_sae("strangersae", uri="urn:sae:bobsae")
    url = inventory.kme("bob").etsi014_url
    for kind, name in (("sae", "strangersae"), ("node", "bob"), ("node", "alice")):
        certificate, key = authority.files(kind, name)  # type: ignore[arg-type]
        answer = Caller(url, inventory.ca, str(certificate), str(key)).ask("GET", ENC, headers=CLAIMS)
        assert (answer.status, answer.message) == (401, NOBODY)


def test_headers_do_not_make_an_sae_another_one(inventory: Inventory) -> None:
    answer = Caller.of(inventory, "bobsae2").ask("GET", STATUS, headers=CLAIMS)
    assert answer.body["master_SAE_ID"] == "bobsae2"


def test_stalled_and_half_open_clients_disturb_nobody(bob: Caller, alice: Caller, inventory: Inventory) -> None:
    """200 of them: 80 never begin the handshake, 60 stop in it, 60 stop in the middle of a request."""
    stalled = Caller.of(inventory, "bobsae2")
    context = stalled.context()
    halves = [ENC.join(("GET ", " HTTP/1.1\r\n")).encode(), b"POST /", f"POST {ENC} HTTP/1.1\r\n".encode()]
    halves[2] += b"Host: kme\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"
    with ExitStack() as stack:
        for number in range(200):
            sock = stack.enter_context(socket.create_connection(bob.address, timeout=TIMEOUT_S))
            if 80 <= number < 140:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01")
            elif number >= 140:
                tls = stack.enter_context(context.wrap_socket(sock, server_hostname=bob.address[0]))
                tls.sendall(halves[number % 3])
        before = spent(inventory)
        got = bob.enc_keys("alicesae")
        assert alice.dec_keys("bobsae", got[0]["key_ID"]).body["keys"] == got
        used = {account: now - before[account] for account, now in spent(inventory).items()}
        assert used == {("bob", "bob"): 32, ("alice", "bob"): 32, ("bob", "alice"): 0, ("alice", "alice"): 0}
