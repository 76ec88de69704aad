"""One request of one SAE, as a bare ASGI callable: this is the hot path, so there is no framework in it.

The connection puts the SAE of its certificate (or None) into the scope under `SCOPE_SAE`; headers are never
asked who somebody is. When the delivery replies at once no future is made. A caller that went away cancels
nothing: its key is spent either way.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import SaeId
from keyhop.service.etsi014.body import check_content_type
from keyhop.service.etsi014.encode import encode_error, encode_keys
from keyhop.service.etsi014.models import encode_status, read_key_ids, read_key_request
from keyhop.service.etsi014.target import (
    ALLOWED_METHODS,
    number_and_size,
    refuse_query,
    sae_from_segment,
    single_key_id,
    split_path,
)
from keyhop.service.requests import GetKey, GetKeyWithIds, GetStatus, Keys, KeyService

SCOPE_SAE = "keyhop.sae"
NOT_IDENTIFIED = "the client certificate belongs to no SAE of this KME"

type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]
type Headers = list[tuple[bytes, bytes]]
type Answer = tuple[int, Headers, bytes]

_log = logging.getLogger(__name__)
_JSON = (b"content-type", b"application/json")
_DEFAULT_RETRY_S = 1.0


class _Disconnected(Exception):
    """The client went away before its request was whole."""


class _Reply:
    """Takes the delivery's one reply, whether it comes before or after somebody waits for it."""

    __slots__ = ("_future", "_value")

    def __init__(self) -> None:
        self._value: Keys | KeyhopError | None = None
        self._future: asyncio.Future[Keys | KeyhopError] | None = None

    def __call__(self, value: Keys | KeyhopError) -> None:
        if self._future is None:
            self._value = value
        elif not self._future.done():
            self._future.set_result(value)

    async def wait(self) -> Keys | KeyhopError:
        if self._value is not None:
            return self._value
        self._future = asyncio.get_running_loop().create_future()
        return await self._future


class Etsi014App:
    """ETSI GS QKD 014 V1.1.1 over a `KeyService`."""

    def __init__(self, service: KeyService) -> None:
        self._service = service

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            status, headers, body = await self._answer(scope, receive)
        except _Disconnected:
            return
        except KeyhopError as error:
            status, headers, body = error_answer(error)
        except Exception:  # noqa: BLE001 (whatever it is, the SAE gets JSON and the node goes on)
            _log.exception("a request failed for a reason that is ours")
            status, headers, body = error_answer(Unavailable("internal error of the KME"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _answer(self, scope: Any, receive: Receive) -> Answer:
        caller: SaeId | None = scope[SCOPE_SAE]
        if caller is None:
            raise Unauthorised(NOT_IDENTIFIED)
        path = split_path(scope["raw_path"])
        if path is None:
            return _answer(404, encode_error(BadRequest("there is nothing at this path")))
        segment, verb = path
        method = scope["method"]
        if method not in ALLOWED_METHODS[verb]:
            return _wrong_method(ALLOWED_METHODS[verb])
        peer = sae_from_segment(segment)
        if verb == b"status":
            refuse_query(scope["query_string"])
            _refuse_body(scope["headers"])
            return _answer(200, encode_status(self._service.get_status(GetStatus(caller, peer))))
        reply = _Reply()
        if verb == b"enc_keys":
            self._service.get_key(await _key_request(scope, receive, caller, peer), reply)
        else:
            self._service.get_key_with_ids(await _key_ids(scope, receive, caller, peer), reply)
        keys = await reply.wait()
        if isinstance(keys, KeyhopError):
            return error_answer(keys)
        return _answer(200, encode_keys(keys))


def error_answer(error: KeyhopError) -> Answer:
    """Status, headers and body that an error of ours becomes on the wire."""
    match error:
        case BadRequest():
            return _answer(400, encode_error(error))
        case Unauthorised():
            return _answer(401, encode_error(error))
        case Unavailable():
            retry_s = _DEFAULT_RETRY_S if error.retry_after_s is None else error.retry_after_s
            status, headers, body = _answer(503, encode_error(error))
            return status, [*headers, (b"retry-after", b"%d" % max(1, math.ceil(retry_s)))], body
        case _:
            return error_answer(Unavailable("the KME cannot serve keys now"))


async def _key_request(scope: Any, receive: Receive, master: SaeId, slave: SaeId) -> GetKey:
    if scope["method"] == "GET":
        _refuse_body(scope["headers"])
        number, size_bits = number_and_size(scope["query_string"])
        return GetKey(master, slave, number, size_bits)
    return read_key_request(master, slave, await _posted(scope, receive))


async def _key_ids(scope: Any, receive: Receive, slave: SaeId, master: SaeId) -> GetKeyWithIds:
    if scope["method"] == "GET":
        _refuse_body(scope["headers"])
        return GetKeyWithIds(slave, master, (single_key_id(scope["query_string"]),))
    return read_key_ids(slave, master, await _posted(scope, receive))


async def _posted(scope: Any, receive: Receive) -> bytes:
    """The body of a POST, which the connection has bounded already."""
    refuse_query(scope["query_string"])
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _Disconnected
        body += message["body"]
        more = message["more_body"]
    if body:
        check_content_type(scope["headers"])
    return body


def _refuse_body(headers: Headers) -> None:
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            raise BadRequest("a GET request shall have no body")


def _wrong_method(allowed: tuple[str, ...]) -> Answer:
    names = ", ".join(allowed)
    status, headers, body = _answer(405, encode_error(BadRequest(f"the methods here are: {names}")))
    return status, [*headers, (b"allow", names.encode("ascii"))], body


def _answer(status: int, body: bytes) -> Answer:
    return status, [_JSON, (b"content-length", b"%d" % len(body))], body
