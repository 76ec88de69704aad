"""Requests that an interchange answers and calls that it makes, without I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field

from keyhop.core.journal import Journal
from keyhop.service.etsi020.problems import Problem

VERSIONS = "/kmapi/versions"
EXT_KEYS = "/kmapi/v1/ext_keys"
ACK = EXT_KEYS + "/ack"
VOID = EXT_KEYS + "/void"


@dataclass(frozen=True, slots=True)
class Answer:
    """To a request of the other KMS, when it is no Problem."""

    status: int
    body: bytes = b""


type Respond = Callable[[Answer | Problem], None]
"""Called exactly once for each request, perhaps much later."""


def respond_once_durable(journal: Journal, respond: Respond, answer: Answer | Problem) -> None:
    """After the next commit; that we cannot serve it now, if that fails."""
    journal.then(lambda: respond(answer), lambda failure: respond(Problem(503)))


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other KMS answered to a call."""

    status: int
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the other KMS: a path there, or the URL of a callback that was found to be there.

    `answered` gets None when there was no answer that could be used, or none in time. Without a `method` nothing is
    asked: a connection to the other KMS is made and closed, and `REACHED` is the answer if there was one to be had.
    """

    method: str | None
    target: str
    body: bytes | None = field(repr=False)
    answered: Callable[[Reply | None], None]


type Make = Callable[[Call], None]

REACHED = Reply(204)


def knock(answered: Callable[[Reply | None], None]) -> Call:
    """Finds out whether the other KMS is there, without a request."""
    return Call(None, "", None, answered)


def delay_s(attempt: int, first_s: float, most_s: float) -> float:
    """How long to wait before the next attempt: twice as long each time."""
    return min(most_s, first_s * 2.0 ** min(attempt, 16))
