"""What a request's head asks for. Everything that does not depend on the body is settled here, once per head.

The caller is the SAE of the connection; headers are never asked who somebody is.
"""

from collections.abc import Callable

from httptools import parse_url

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised
from keyhop.core.ids import SaeId
from keyhop.service.etsi014.answers import Answer, NoSuchPath, WrongMethod
from keyhop.service.etsi014.body import check_content_type
from keyhop.service.etsi014.masters_keys import read_insertion, read_void
from keyhop.service.etsi014.models import read_key_ids, read_key_request
from keyhop.service.etsi014.target import (
    ALLOWED_METHODS,
    number_and_size,
    refuse_query,
    sae_from_segment,
    single_key_id,
    split_path,
)
from keyhop.service.requests import GetKey, GetKeyWithIds, GetStatus, KeyService

NOT_IDENTIFIED = "the client certificate belongs to no SAE of this KME"

type Headers = list[tuple[bytes, bytes]]
type Reply = Callable[[Answer], None]
type Ask = Callable[[KeyService, bytes, Reply], None]
"""Puts the request to the service, with the body that came; replies once, or raises KeyhopError before it does."""


def understand(caller: SaeId | None, method: str, url: bytes, headers: Headers) -> Ask:
    """What to do once the body is there. What is wrong with the request is told then too, as an answer."""
    try:
        return _understood(caller, method, url, headers)
    except KeyhopError as error:
        return _refusing(error.with_traceback(None))  # which holds all that was parsed


def _understood(caller: SaeId | None, method: str, url: bytes, headers: Headers) -> Ask:
    if caller is None:
        raise Unauthorised(NOT_IDENTIFIED)
    target = parse_url(url)
    path = split_path(target.path or b"")
    if path is None:
        raise NoSuchPath
    segment, verb = path
    if method not in ALLOWED_METHODS[verb]:
        raise WrongMethod(ALLOWED_METHODS[verb])
    peer, query = sae_from_segment(segment), target.query or b""
    if method == "POST":
        refuse_query(query)
        return _of_its_type(_POSTS[verb](caller, peer), headers)
    if verb == b"status":
        refuse_query(query)
        _refuse_body(headers)
        return _status(GetStatus(caller, peer))
    _refuse_body(headers)
    if verb == b"enc_keys":
        number, size_bits = number_and_size(query)
        return _enc_keys(GetKey(caller, peer, number, size_bits))
    return _dec_keys(GetKeyWithIds(caller, peer, single_key_id(query)))


def _status(request: GetStatus) -> Ask:
    return lambda service, _body, reply: reply(service.get_status(request))


def _enc_keys(request: GetKey) -> Ask:
    return lambda service, _body, reply: service.get_key(request, reply)


def _dec_keys(request: GetKeyWithIds) -> Ask:
    return lambda service, _body, reply: service.get_key_with_ids(request, reply)


def _post_enc_keys(master: SaeId, slave: SaeId) -> Ask:
    return lambda service, body, reply: service.get_key(read_key_request(master, slave, body), reply)


def _post_dec_keys(slave: SaeId, master: SaeId) -> Ask:
    return lambda service, body, reply: service.get_key_with_ids(read_key_ids(slave, master, body), reply)


def _post_insert(master: SaeId, slave: SaeId) -> Ask:
    return lambda service, body, reply: service.insert_keys(read_insertion(master, slave, body), reply)


def _post_void(master: SaeId, slave: SaeId) -> Ask:
    return lambda service, body, reply: service.void_keys(read_void(master, slave, body), reply)


_POSTS: dict[bytes, Callable[[SaeId, SaeId], Ask]] = {
    b"enc_keys": _post_enc_keys,
    b"dec_keys": _post_dec_keys,
    b"keyhop_insert": _post_insert,
    b"keyhop_void": _post_void,
}


def _of_its_type(post: Ask, headers: Headers) -> Ask:
    """Refuses a body whose content type is wrong, which does not matter if there is none."""
    try:
        check_content_type(headers)
    except BadRequest as error:
        wrong_type = error.message
    else:
        return post

    def ask(service: KeyService, body: bytes, reply: Reply) -> None:
        if body:
            raise BadRequest(wrong_type)
        post(service, body, reply)

    return ask


def _refusing(error: KeyhopError) -> Ask:
    return lambda _service, _body, reply: reply(error)


def _refuse_body(headers: Headers) -> None:
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            raise BadRequest("a GET request shall have no body")
