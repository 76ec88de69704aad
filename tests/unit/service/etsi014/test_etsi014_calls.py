"""What the head of a POST says about its body."""

from typing import Any

import pytest

from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId
from keyhop.service.etsi014.answers import Answer
from keyhop.service.etsi014.calls import Headers, understand
from keyhop.service.requests import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    InsertKeys,
    InsertReply,
    KeyReply,
    Status,
    VoidKeys,
    VoidReply,
)

ID = "550e8400-e29b-41d4-a716-446655440000"
BODIES = {"enc_keys": b'{"number":2}', "dec_keys": b'{"key_IDs":[{"key_ID":"%s"}]}' % ID.encode()}


class Asked:
    """A service that notes what it is asked."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def get_status(self, request: GetStatus) -> Status:
        raise NotImplementedError

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        self.requests.append(request)

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        self.requests.append(request)

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        self.requests.append(request)

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        self.requests.append(request)


def nothing(answer: Answer) -> None:
    raise NotImplementedError


def post(call: str, headers: Headers, body: bytes) -> list[Any]:
    service = Asked()
    understand(SaeId("a"), "POST", f"/api/v1/keys/b/{call}".encode(), headers)(service, body, nothing)
    return service.requests


@pytest.mark.parametrize("call", BODIES)
def test_a_body_is_of_its_type(call: str) -> None:
    assert len(post(call, [(b"content-type", b"application/json")], BODIES[call])) == 1


@pytest.mark.parametrize("call", BODIES)
@pytest.mark.parametrize("headers", [[], [(b"content-type", b"text/plain")]], ids=["none", "another"])
def test_a_body_of_no_or_another_type_is_refused(call: str, headers: Headers) -> None:
    with pytest.raises(BadRequest, match="content type"):
        post(call, headers, BODIES[call])


@pytest.mark.parametrize("headers", [[], [(b"content-type", b"text/plain")]], ids=["none", "another"])
def test_no_body_needs_no_type(headers: Headers) -> None:
    assert post("enc_keys", headers, b"") == [GetKey(SaeId("a"), SaeId("b"), None, None)]
