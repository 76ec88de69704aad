"""An SAE's connection between a wire and a service that the test holds in its hands."""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi014.connection import LINGER_S, SaeConnection
from keyhop.service.etsi014.reading import RequestReader
from keyhop.service.etsi014.surroundings import Limits, Peer
from keyhop.service.requests import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    InsertKeys,
    InsertReply,
    KeyReply,
    KeyRun,
    Keys,
    Status,
    VoidKeys,
    VoidReply,
)

GET = b"GET /api/v1/keys/bobsae/enc_keys HTTP/1.1\r\nhost: x\r\n\r\n"
STATUS = b"GET /api/v1/keys/bobsae/status HTTP/1.1\r\nhost: x\r\n\r\n"
KEYS = Keys((KeyRun(bytes(16), 32, KeyMaterial(bytes(32))),))
LIMITS = Limits(request_timeout_s=10, idle_timeout_s=60, write_timeout_s=30)


@dataclass
class Turns:
    """Jobs wait until the test does them, unless they are done `at_once`."""

    at_once: bool = True
    shared: bool = True
    waiting: list[Callable[[], None]] = field(default_factory=list)
    noticed: list[SaeId | None] = field(default_factory=list)
    kinds: list[bytes] = field(default_factory=list)

    def is_shared_by(self, sae: SaeId | None) -> bool:
        self.noticed.append(sae)
        return self.shared

    def enter(self, _sae: SaeId | None, job: Callable[[], None], kind: bytes = b"") -> None:
        self.kinds.append(kind)
        if self.at_once:
            job()
        else:
            self.waiting.append(job)


@dataclass
class Bench:
    """The wire, the service, the clock and the connection between them."""

    sent: list[bytes] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    ended: str = ""
    reading: bool = True
    blocked: bool = False
    unacknowledged: bool = False
    now: float = 0.0
    replies: list[KeyReply] = field(default_factory=list)
    lost: list[SaeConnection] = field(default_factory=list)
    fault: Callable[[], None] = lambda: None
    turns: Turns = field(default_factory=Turns)

    def __post_init__(self) -> None:
        peer, sae = Peer(b"der"), SaeId("alicesae")
        self.connection = SaeConnection(self, self, LIMITS, peer, sae, lambda: self.now, self.turns, self.lost.append)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def read_on(self, on: bool) -> None:
        self.reading = on

    def read(self) -> None:
        self.connection.receive(self.sent.pop(0))

    def untaken(self) -> bool:
        return self.unacknowledged

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"
        self.connection.lost()

    def get_status(self, request: GetStatus) -> Status:
        return Status(KmeId("a"), KmeId("b"), request.caller, request.peer, 256, 1, 2, 3, 4, 5, 6)

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        self.replies.append(reply)
        self.fault()

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        raise NotImplementedError

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        raise NotImplementedError

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        raise NotImplementedError

    def after(self, seconds: float) -> str:
        self.now += seconds
        self.connection.check_deadlines(self.now)
        return self.ended


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_answer_is_one_write(bench: Bench) -> None:
    bench.connection.receive(GET)
    bench.replies.pop()(KEYS)
    (answer,) = bench.written
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d" % len(body)


def test_what_waits_behind_a_request_stops_the_reading(bench: Bench) -> None:
    bench.connection.receive(GET)
    assert bench.reading
    bench.connection.receive(GET)
    assert (bench.reading, len(bench.replies)) == (False, 1)
    bench.replies.pop()(KEYS)
    assert (bench.reading, len(bench.replies), len(bench.written)) == (True, 1, 1)


def test_nothing_is_asked_for_a_client_that_takes_nothing(bench: Bench) -> None:
    bench.blocked = True
    bench.connection.receive(GET)
    assert (bench.replies, bench.reading) == ([], False)
    bench.blocked = False
    bench.connection.drained()
    assert (len(bench.replies), bench.reading) == (1, True)


def test_another_reply_to_the_same_request_is_nobodys(bench: Bench) -> None:
    bench.connection.receive(GET)
    (reply,) = bench.replies
    reply(KEYS)
    reply(KEYS)
    assert len(bench.written) == 1


def test_a_reply_after_the_client_has_gone_goes_nowhere(bench: Bench) -> None:
    bench.connection.receive(GET)
    bench.connection.lost()
    bench.replies.pop()(KEYS)
    assert (bench.written, bench.lost) == ([], [bench.connection])


def test_who_has_gone_counts_until_what_was_asked_is_answered(bench: Bench) -> None:
    bench.connection.receive(GET)
    bench.abort()
    bench.after(100)
    assert bench.lost == []
    bench.replies[0](KEYS)
    assert (bench.lost, bench.written) == ([bench.connection], [])


def test_who_says_nothing_more_is_answered_and_then_let_go(bench: Bench) -> None:
    bench.connection.receive(GET + GET)
    bench.connection.heard_all()
    assert (bench.ended, len(bench.replies)) == ("", 1)
    bench.replies[0](KEYS)
    assert (bench.ended, len(bench.replies), len(bench.written)) == ("", 2, 1)
    bench.replies[1](KEYS)
    assert (bench.ended, len(bench.written)) == ("closed", 2)


@pytest.mark.parametrize(("blocked", "end"), [(False, "aborted"), (True, "closed")])
def test_who_says_nothing_more_and_waits_for_nothing_is_let_go(bench: Bench, blocked: bool, end: str) -> None:
    bench.connection.receive(STATUS)
    bench.blocked = blocked
    bench.connection.heard_all()
    assert bench.ended == end


@pytest.mark.parametrize("end", [SaeConnection.shutdown, SaeConnection.abort])
def test_at_the_end_nobody_waits_for_the_answer_to_who_has_gone(
    bench: Bench, end: Callable[[SaeConnection], None]
) -> None:
    bench.connection.receive(GET)
    bench.abort()
    end(bench.connection)
    assert bench.lost[0] is bench.connection


def test_a_fault_of_ours_is_answered(bench: Bench) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    bench.fault = fail
    bench.connection.receive(GET + STATUS)
    assert [answer[:12] for answer in bench.written] == [b"HTTP/1.1 503", b"HTTP/1.1 200"]
    assert b"internal error of the KME" in bench.written[0]


def test_keys_that_cannot_be_encoded_are_answered(bench: Bench) -> None:
    bench.connection.receive(GET)
    bench.replies.pop()(Keys((KeyRun(bytes(16), 32, None),)))  # type: ignore[arg-type]
    assert bench.written[0].startswith(b"HTTP/1.1 503")


def test_shutdown_answers_what_is_under_way_and_nothing_more(bench: Bench) -> None:
    bench.connection.receive(GET + GET)
    bench.connection.shutdown()
    bench.replies.pop()(KEYS)
    assert b"connection: close\r\n" in bench.written[0]
    bench.connection.receive(GET)
    assert (len(bench.written), bench.replies, bench.ended) == (1, [], "closed")


def test_an_idle_connection_that_is_shut_down_asks_nothing_more(bench: Bench) -> None:
    bench.connection.shutdown()
    bench.connection.receive(GET)
    assert (bench.replies, bench.ended) == ([], "closed")
    assert bench.after(LINGER_S + 0.1) == "aborted"


def test_a_body_that_the_client_asks_about_is_asked_for(bench: Bench) -> None:
    head = b"POST /api/v1/keys/bobsae/enc_keys HTTP/1.1\r\ncontent-type: application/json\r\n"
    bench.connection.receive(head + b"content-length: 2\r\nexpect: 100-continue\r\n\r\n")
    assert bench.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    bench.connection.receive(b"{}")
    assert len(bench.replies) == 1


def test_the_answer_to_head_has_no_body(bench: Bench) -> None:
    bench.connection.receive(GET.replace(b"GET", b"HEAD"))
    assert bench.written[0].startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert bench.written[0].endswith(b"allow: GET, POST\r\n\r\n")


def test_idle(bench: Bench) -> None:
    assert bench.after(59) == ""
    bench.connection.receive(STATUS)
    assert bench.after(59) == ""
    assert bench.after(2) == "closed"
    assert bench.after(LINGER_S + 0.1) == "aborted"


def test_a_request_that_does_not_end(bench: Bench) -> None:
    bench.now = 59
    bench.connection.receive(GET[:20])
    assert bench.after(9) == ""
    bench.connection.receive(GET[20:30])
    assert bench.after(2) == "closed"
    assert b"the request was not complete within 10 s" in bench.written[0]


def test_a_request_that_waits_for_its_answer_has_all_the_time(bench: Bench) -> None:
    bench.connection.receive(GET)
    assert bench.after(1000) == ""
    bench.replies.pop()(KEYS)
    assert bench.after(59) == ""


@pytest.mark.parametrize("where", ["blocked", "unacknowledged"])
def test_bytes_that_are_not_taken(bench: Bench, where: str) -> None:
    bench.connection.receive(STATUS)
    setattr(bench, where, True)
    assert bench.after(29) == ""
    assert bench.after(2) == "aborted"


def test_requests_of_one_call_are_alike_whoever_the_slave_is(bench: Bench) -> None:
    for request in (STATUS, STATUS.replace(b"bobsae", b"x"), STATUS, GET):
        bench.connection.receive(request)
    assert bench.turns.kinds == [b"status", b"status", b"status", b"enc_keys"]


def test_a_client_that_leaves_before_its_turn_spends_nothing() -> None:
    bench = Bench(turns=Turns(at_once=False))
    turns = bench.turns.waiting
    bench.connection.receive(GET)
    bench.connection.lost()
    for job in turns:
        job()
    assert len(turns) == 1
    assert bench.replies == []


@pytest.mark.parametrize(("count", "shared"), [(1, True), (16, True), (17, True), (17, False)])
def test_many_keys_are_written_in_their_turn_if_others_ask_as_well(count: int, shared: bool) -> None:
    bench = Bench(turns=Turns(at_once=False, shared=shared))
    turns = bench.turns.waiting
    bench.connection.receive(GET)
    turns.pop()()
    (reply,) = bench.replies
    reply(Keys((KeyRun(bytes(16 * count), 32, KeyMaterial(bytes(32 * count))),)))
    reply(KEYS)  # is nobody's
    if count > 16 and shared:
        assert bench.written == []
        turns.pop()()
    assert (len(bench.written), turns) == (1, [])


def test_refusals_are_written_in_their_turn_and_not_to_a_client_that_has_gone() -> None:
    bench = Bench(turns=Turns(at_once=False))
    turns = bench.turns.waiting
    bench.connection.receive(GET)
    turns.pop()()
    bench.replies.pop()(Unavailable("nothing left"))
    assert bench.written == []
    bench.connection.lost()
    turns.pop()()
    assert bench.written == []


def test_what_comes_is_read_in_its_turn_and_until_then_told_no_more() -> None:
    bench = Bench(turns=Turns(at_once=False), sent=[GET])
    turns = bench.turns.waiting
    bench.connection.readable()
    assert (len(turns), bench.reading, bench.replies) == (1, True, [])
    bench.connection.readable()
    assert (len(turns), bench.reading) == (1, False)
    turns.pop()()
    assert (turns, bench.reading, len(bench.replies)) == ([], True, 1)
    bench.connection.readable()
    assert len(turns) == 1


def test_nobody_waits_to_be_read_who_has_everything_for_himself() -> None:
    bench = Bench(turns=Turns(at_once=False, shared=False), sent=[GET])
    bench.connection.readable()
    assert bench.turns.noticed == [SaeId("alicesae")]
    assert (bench.sent, bench.replies, len(bench.turns.waiting)) == ([], [], 1)
    bench.turns.waiting.pop()()
    assert len(bench.replies) == 1


@pytest.mark.parametrize("repeated", [False, True])
def test_a_late_second_reply_does_not_answer_the_next_request(bench: Bench, repeated: bool) -> None:
    if repeated:  # then both requests are of one head, which is parsed once
        bench.connection.receive(GET)
        bench.replies.pop()(KEYS)
        bench.written.clear()
    bench.connection.receive(GET)
    bench.connection.receive(GET)
    first = bench.replies.pop()
    first(KEYS)
    first(KEYS)
    assert len(bench.written) == 1
    bench.replies.pop()(KEYS)
    assert len(bench.written) == 2


def test_a_service_that_replies_and_breaks_has_replied_to_one_request() -> None:
    bench = Bench(turns=Turns(at_once=False))
    turns = bench.turns.waiting

    def reply_and_break() -> None:
        bench.replies.pop()(KEYS)
        raise ZeroDivisionError

    bench.fault = reply_and_break
    bench.connection.receive(GET + GET)
    turns.pop(0)()
    assert [answer[:12] for answer in bench.written] == [b"HTTP/1.1 200"]
    assert len(turns) == 1


def test_a_body_that_the_client_asks_about_is_asked_for_after_the_answers_that_are_due(bench: Bench) -> None:
    head = b"POST /api/v1/keys/bobsae/enc_keys HTTP/1.1\r\ncontent-type: application/json\r\n"
    bench.connection.receive(GET)
    bench.connection.receive(head + b"content-length: 2\r\nexpect: 100-continue\r\n\r\n")
    assert bench.written == []
    bench.replies.pop()(KEYS)
    assert bench.written[1:] == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    bench.connection.receive(b"{}")
    assert len(bench.replies) == 1


def test_nobody_is_told_to_continue_who_does_not_take_the_answer_before(bench: Bench) -> None:
    head = b"POST /api/v1/keys/bobsae/enc_keys HTTP/1.1\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    bench.connection.receive(GET + head)
    bench.blocked = True
    bench.replies.pop()(KEYS)
    assert len(bench.written) == 1
    bench.blocked = False
    bench.connection.drained()
    assert bench.written[1:] == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_empty_lines_between_requests_are_no_request(bench: Bench) -> None:
    for _ in range(6):
        assert bench.after(9.9) == ""
        bench.connection.receive(b"\r\n" * 1000)
    bench.connection.receive(GET)
    assert len(bench.replies) == 1
    bench.replies.pop()(KEYS)
    assert bench.after(59) == ""
    bench.connection.receive(b"\r\n")
    assert bench.after(2) == "closed"


def test_a_request_behind_empty_lines_has_the_whole_of_its_deadline_and_bounds(bench: Bench) -> None:
    bench.connection.receive(b"\r\n" * 8000)
    assert bench.after(20) == ""
    bench.connection.receive(b"\r\n" * 8000 + GET[:20])
    assert bench.after(9) == ""
    bench.connection.receive(GET[20:])
    assert (len(bench.replies), bench.written) == (1, [])


def test_shutdown_waits_for_no_request_that_has_no_head(bench: Bench) -> None:
    bench.connection.receive(STATUS + GET[:20])
    bench.connection.shutdown()
    assert (len(bench.written), bench.ended) == (1, "closed")


def test_what_waits_behind_a_request_is_kept_as_it_came(bench: Bench) -> None:
    """A read of 16 KiB has room for nine hundred requests, and each of a thousand connections may have that many."""
    bench.connection.receive(GET)
    tracemalloc.start()
    try:
        bench.connection.receive(b"GET / HTTP/1.1\r\n\r\n" * 900)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 17 * 1024
    bench.replies.pop()(KEYS)
    assert len(bench.written) == 901


def test_few_requests_are_parsed_before_they_are_wanted() -> None:
    reader = RequestReader(SaeId("alicesae"))
    reader.feed(b"GET / HTTP/1.1\r\n\r\n" * 900)
    tracemalloc.start()
    try:
        first = reader.next()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert first is not None
    assert size < 32 * 1000
    assert sum(1 for _ in iter(reader.next, None)) == 899


def test_requests_are_the_same_however_their_bytes_come() -> None:
    post = b"POST /api/v1/keys/bobsae/enc_keys HTTP/1.1\r\ncontent-length: 3000\r\n\r\n" + b"x" * 3000
    chunked = b"POST /api/v1/keys/bobsae/enc_keys HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    sent = GET + post + STATUS + chunked + b"\r\n\r\n" + post + chunked + GET
    bodies = [b"", b"x" * 3000, b"", b"abc", b"x" * 3000, b"abc", b""]
    for step in (1, 7, 511, 512, 513, 5000, len(sent)):
        reader = RequestReader(SaeId("alicesae"))
        got: list[bytes] = []
        for at in range(0, len(sent), step):
            reader.feed(sent[at : at + step])
            if at % 3:
                got += [body for _, body in iter(reader.next, None)]
        got += [body for _, body in iter(reader.next, None)]
        assert got == bodies
        assert (reader.refusal, reader.waiting, reader.receiving) == (None, False, False)
