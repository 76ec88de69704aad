"""Whole HTTP answers as bytes, so that each is one write."""

import logging
import math
from functools import lru_cache
from http import HTTPStatus

from keyhop.core.errors import BadRequest, KeyhopError, RequestError, Unauthorised, Unavailable
from keyhop.service.etsi014.encode import encode_error, encode_keys
from keyhop.service.etsi014.masters_keys import encode_inserted, encode_voided
from keyhop.service.etsi014.models import encode_status
from keyhop.service.requests import InsertedKeys, Keys, Status, VoidedKeys

type Answer = Keys | Status | InsertedKeys | VoidedKeys | KeyhopError

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OURS = Unavailable("internal error of the KME")
"""For what is our fault."""
_DEFAULT_RETRY_S = 1.0
_FEW_KEYS = 16
_CLOSE = b"connection: close\r\n"

_log = logging.getLogger(__name__)


class NoSuchPath(RequestError):
    """There is nothing at this path; the standard has no code for it."""

    def __init__(self) -> None:
        super().__init__("there is nothing at this path")


class WrongMethod(RequestError):
    """`allowed` are the methods that the path has; the standard has no code for it."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__(f"the methods here are: {self.allowed}")


def encode_answer(answer: Answer, *, close: bool = False, bodiless: bool = False) -> bytes:
    """Head and body. `close` says that the connection ends with it, `bodiless` that the request was a HEAD."""
    if isinstance(answer, Keys):
        return _http(200, encode_keys(answer), b"", close, bodiless)
    if isinstance(answer, Status):
        return _http(200, encode_status(answer), b"", close, bodiless)
    if isinstance(answer, InsertedKeys):
        return _http(200, encode_inserted(answer), b"", close, bodiless)
    if isinstance(answer, VoidedKeys):
        return _http(200, encode_voided(answer), b"", close, bodiless)
    return _encode_refusal(answer, close, bodiless)


def encode_whatever(answer: Answer, *, close: bool, bodiless: bool) -> bytes:
    """The same, or that it could not be made: a request is never left without an answer."""
    try:
        return encode_answer(answer, close=close, bodiless=bodiless)
    except Exception:  # noqa: BLE001
        _log.exception("an answer could not be encoded")
        return encode_answer(OURS, close=close, bodiless=bodiless)


def is_soon_written(answer: Answer) -> bool:
    """Many keys are not, and refusals are none that many requests get at once when there are no keys."""
    if isinstance(answer, Keys):
        return sum(len(run.ids) for run in answer.runs) <= _FEW_KEYS * 16
    return isinstance(answer, Status)


def encode_farewell(status: int, message: str) -> bytes:
    """What the connection itself says before it closes."""
    error = KeyhopError(message)
    return _http(status, encode_error(error), _retry(_DEFAULT_RETRY_S) if status == 503 else b"", True, False)


def _encode_refusal(error: KeyhopError, close: bool, bodiless: bool) -> bytes:
    status, fields = 400, b""
    match error:
        case NoSuchPath():
            status = 404
        case WrongMethod():
            status, fields = 405, b"allow: %b\r\n" % error.allowed.encode("ascii")
        case BadRequest():
            pass
        case Unauthorised():
            status = 401
        case Unavailable():
            status, fields = 503, _retry(error.retry_after_s)
        case _:  # its message is not for SAEs
            return _encode_refusal(Unavailable("the KME cannot serve keys now"), close, bodiless)
    return _http(status, encode_error(error), fields, close, bodiless)


def _retry(seconds: float | None) -> bytes:
    return b"retry-after: %d\r\n" % max(1, math.ceil(_DEFAULT_RETRY_S if seconds is None else seconds))


def _http(status: int, body: bytes, fields: bytes, close: bool, bodiless: bool) -> bytes:
    if close:
        fields += _CLOSE
    head = _head(status, len(body))
    return b"%b%b\r\n%b" % (head, fields, b"" if bodiless else body)


@lru_cache(maxsize=256)
def _head(status: int, length: int) -> bytes:
    """The line of the status and the fields that every answer has; few lengths are frequent."""
    phrase = HTTPStatus(status).phrase.encode("ascii")
    return b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (status, phrase, length)
