"""An SAE's connection without its socket: in whatever pieces bytes come in, what goes out is the same and ends well."""

import itertools
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi014.answers import CONTINUE
from keyhop.service.etsi014.connection import SaeConnection
from keyhop.service.etsi014.surroundings import Limits, Peer
from keyhop.service.etsi014.wire import READ_BYTES
from keyhop.service.requests import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    InsertedKeys,
    InsertKeys,
    InsertReply,
    KeyReply,
    KeyRun,
    Keys,
    Status,
    VoidedKeys,
    VoidKeys,
    VoidReply,
)

PATH = b"/api/v1/keys/bobsae/"


@dataclass
class MemoryWire:
    """What was written; `open` until it was told to close."""

    written: bytearray = field(default_factory=bytearray)
    open: bool = True
    reading: bool = True
    blocked: bool = False
    lost: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        assert self.open
        self.written += data

    def read_on(self, on: bool) -> None:
        self.reading = on

    def read(self) -> None:
        raise NotImplementedError  # the test hands over what came

    def untaken(self) -> bool:
        return False

    def close(self) -> None:
        self.open = False
        self.reading = True  # and what comes is dropped

    def abort(self) -> None:
        self.open = False
        self.lost()


@dataclass
class Service:
    """One key of a byte per bit of `size`; `later` holds replies back. Never more than one request is under way."""

    later: bool = False
    held: list[Callable[[], None]] = field(default_factory=list)

    def get_status(self, request: GetStatus) -> Status:
        if request.peer == "nobody":
            raise BadRequest("unknown")
        return Status(KmeId("a"), KmeId("b"), request.caller, request.peer, 256, 1, 2, 3, 4, 5, 6)

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        size = (request.size_bits or 256) % 1024 + 1
        self._answer(Keys((KeyRun(bytes(16), size, KeyMaterial(bytes(size))),)), reply)

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        material = KeyMaterial(bytes(len(request.key_ids)))
        self._answer(Keys((KeyRun(b"".join(request.key_ids), 1, material),)), reply)

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        self._answer(InsertedKeys(request.ids or bytes(16 * request.count)), reply)

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        flags = tuple(bool(byte & 1) for byte in request.ids[::16])
        self._answer(VoidedKeys(request.ids, flags), reply)

    def _answer[A](self, answer: A, reply: Callable[[A], None]) -> None:
        assert not self.held
        if self.later:
            self.held.append(lambda: reply(answer))
        else:
            reply(answer)


class AtOnce:
    """Nobody else waits for a turn."""

    shared = False

    def is_shared_by(self, _sae: SaeId | None) -> bool:
        return self.shared

    def enter(self, _sae: SaeId | None, job: Callable[[], None], kind: bytes = b"") -> None:
        job()


def outcome(pieces: list[bytes], *, later: bool = False, last_words: bool = False) -> tuple[bytes, bool]:
    """What came back, without the words that only depend on when a body arrives, and whether it is still open.

    They may be the `last_words` of the client, which it ends its stream with.
    """
    wire, service = MemoryWire(), Service(later=later)
    limits, sae = Limits(), SaeId("alicesae")
    connection = SaeConnection(
        wire, service, limits, Peer(b"der"), sae, lambda: 0.0, AtOnce(), lambda _connection: None
    )
    wire.lost = connection.lost
    for piece in pieces:
        while not wire.reading:
            assert service.held  # only what is under way stops the reading
            service.held.pop()()
        assert len(piece) <= READ_BYTES
        connection.receive(piece)
    if last_words:
        while not wire.reading:
            service.held.pop()()
        if wire.open:
            connection.heard_all()
    while service.held:
        service.held.pop()()
    said, still_open = bytes(wire.written).replace(CONTINUE, b""), wire.open
    if not still_open:
        connection.receive(b"".join(pieces))
        assert bytes(wire.written).replace(CONTINUE, b"") == said
    return said, still_open


def request(method: bytes, target: bytes, body: bytes = b"", fields: bytes = b"") -> bytes:
    length = b"content-length: %d\r\n" % len(body) if body else b""
    kind = b"content-type: application/json\r\n" if body else b""
    return b"%b %b HTTP/1.1\r\nhost: x\r\n%b%b%b\r\n%b" % (method, target, kind, length, fields, body)


def post(target: bytes, value: object, fields: bytes = b"") -> bytes:
    return request(b"POST", PATH + target, json.dumps(value).encode(), fields)


def chunked(body: bytes, at: int) -> bytes:
    parts = [part for part in (body[:at], body[at:]) if part]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nx-trailer: y\r\n\r\n"
    head = b"POST %benc_keys HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" % PATH
    return head + coded


KEY_ID = "550e8400-e29b-41d4-a716-446655440000"
sizes = st.integers(0, 1000)
requests = st.one_of(
    sizes.map(lambda size: request(b"GET", PATH + b"enc_keys?size=%d" % size)),
    st.just(request(b"GET", PATH + b"enc_keys")),
    sizes.map(lambda size: post(b"enc_keys", {"size": size})),
    sizes.map(lambda size: post(b"enc_keys", {"size": size}, b"expect: 100-continue\r\n")),
    st.just(post(b"dec_keys", {"key_IDs": [{"key_ID": KEY_ID}]})),
    st.just(request(b"GET", PATH + b"dec_keys?key_ID=" + KEY_ID.encode())),
    st.just(request(b"GET", PATH + b"status")),
    sizes.map(lambda size: post(b"keyhop_insert", {"keys": [{"key": b64encode(bytes(size)).decode()}]})),
    st.just(post(b"keyhop_insert", {"keys": [{"key": "AAAA", "key_ID": KEY_ID}]}, b"expect: 100-continue\r\n")),
    st.just(post(b"keyhop_void", {"key_IDs": [{"key_ID": KEY_ID}]})),
    st.just(request(b"GET", PATH + b"keyhop_void")),
    st.just(request(b"GET", b"/api/v1/keys/nobody/status")),
    st.just(request(b"PUT", PATH + b"enc_keys", b"{}")),
    st.just(request(b"GET", b"/")),
    st.tuples(sizes, st.integers(0, 20)).map(lambda both: chunked(b'{"size":%d}' % both[0], both[1])),
    st.just(b"\r\n" + request(b"GET", PATH + b"enc_keys")),
)
rubbish = st.one_of(
    st.binary(max_size=60),
    st.just(request(b"GET", PATH + b"enc_keys", fields=b"connection: close\r\n")),
    st.just(b"GET / HTTP/1.0\r\n\r\n"),
    st.just(request(b"GET", PATH + b"enc_keys", fields=b"connection: upgrade\r\nupgrade: h2c\r\n")),
    st.just(b"POST / HTTP/1.1\r\ncontent-length: 70000\r\n\r\n"),
    st.just(b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
    st.just(b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    st.just(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 65 + b"\r\n"),
)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(at, len(stream)) for at in cuts} | {0, len(stream)})
    return [stream[a:b] for a, b in itertools.pairwise(ends)]


def one_by_one(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


repeated = st.tuples(requests, st.sampled_from([b"", b"\r\n"]), st.integers(1, 3)).map(
    lambda drawn: [drawn[0] + drawn[1]] * drawn[2]
)


def grouped(sent: list[bytes], sizes: list[int]) -> list[bytes]:
    """Whole requests, so many in each piece."""
    rest = iter(sent)
    groups = [b"".join(itertools.islice(rest, size)) for size in sizes]
    return [group for group in (*groups, b"".join(rest)) if group]


@given(
    st.lists(repeated, max_size=5).map(lambda lists: list(itertools.chain.from_iterable(lists))),
    st.lists(st.integers(0, 2000), max_size=8),
    st.lists(st.integers(1, 3)),
)
def test_each_request_has_its_answer_in_order(sent: list[bytes], cuts: list[int], sizes: list[int]) -> None:
    alone = [outcome([each]) for each in sent]
    assert all(still_open and said.startswith(b"HTTP/1.1 ") for said, still_open in alone)
    expected = b"".join(said for said, _ in alone), True
    stream = b"".join(sent)
    for pieces in (sent, [stream], cut(stream, cuts), grouped(sent, sizes), one_by_one(stream)):
        assert outcome(pieces) == expected
        assert outcome(pieces, later=True) == expected


def test_a_body_that_looks_like_a_request_is_a_body() -> None:
    known = request(b"GET", PATH + b"enc_keys")
    head = b"POST %benc_keys HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    head %= PATH, len(known)
    said, still_open = outcome([known, head, known])
    assert (said.count(b"HTTP/1.1 200"), said.count(b"HTTP/1.1 400"), still_open) == (1, 1, True)


def test_a_bare_end_of_line_behind_a_body_is_not_taken_for_a_part_of_the_head() -> None:
    first, second = (post(b"enc_keys", {"size": size}) + b"\r\n" for size in (100, 200))
    assert outcome([first, second])[0] == outcome([first])[0] + outcome([second])[0]


@given(st.lists(requests, max_size=3), rubbish, st.lists(requests, max_size=2), st.lists(st.integers(0, 2000)))
def test_rubbish_means_the_same_in_all_pieces(
    before: list[bytes], bad: bytes, after: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join((*before, bad, *after))
    expected = outcome(one_by_one(stream))
    for pieces in ([*before, bad, *after], [stream], cut(stream, cuts)):
        assert outcome(pieces) == expected
        assert outcome(pieces, later=True) == expected


@given(
    st.lists(requests, min_size=1, max_size=4).map(b"".join),
    st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(["flip", "drop", "double"]), st.binary(min_size=1))),
    st.lists(st.integers(0, 2000)),
)
def test_spoilt_requests_mean_the_same_in_all_pieces(
    stream: bytes, spoils: list[tuple[int, str, bytes]], cuts: list[int]
) -> None:
    for at, how, by in spoils:
        at %= len(stream) + 1
        keep = stream[at + len(by) :] if how != "double" else stream[at:]
        stream = (stream[:at] + (b"" if how == "drop" else by) + keep)[:READ_BYTES]
    said, still_open = outcome(one_by_one(stream))
    for pieces in ([stream], cut(stream, cuts)):
        assert outcome(pieces) == (said, still_open)
        assert outcome(pieces, later=True) == (said, still_open)
        assert outcome(pieces, last_words=True) == outcome(pieces, later=True, last_words=True) == (said, False)
    assert not said or said.startswith(b"HTTP/1.1 ")
    assert still_open or b"connection: close\r\n" in said
