"""One request of another KMS and its answer, as ASGI has them."""

import asyncio

from starlette.types import Receive, Scope, Send

from keyhop.service.etsi020.calls import Answer
from keyhop.service.etsi020.models import MAX_BODY_BYTES
from keyhop.service.etsi020.problems import CONTENT_TYPE, Problem

BODY_S = 10.0


async def body_of(scope: Scope, receive: Receive) -> bytes:
    """Raises Problem for one that is too long or too slow."""
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value[:12]) > MAX_BODY_BYTES):
            raise Problem(413, reason=f"the body shall have at most {MAX_BODY_BYTES} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Problem(400, reason="the request was not complete")
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise Problem(413, reason=f"the body shall have at most {MAX_BODY_BYTES} bytes")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Problem(408, reason="the request was not complete in time") from None


async def left(receive: Receive) -> None:
    """Once whoever asked is there no more: what nobody waits for shall not be kept."""
    while (await receive())["type"] != "http.disconnect":
        pass


def is_json(scope: Scope) -> bool:
    """Whether the request says that its body is JSON."""
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return len(kinds) == 1 and kinds[0].partition(b";")[0].strip().lower() == b"application/json"


async def send_answer(answer: Answer | Problem, send: Send) -> None:
    """As JSON, or as a problem document."""
    if isinstance(answer, Problem):
        body, kind = answer.document(), CONTENT_TYPE
    else:
        body, kind = answer.body, "application/json"
    headers = [(b"cache-control", b"no-store"), (b"content-length", str(len(body)).encode())]
    if body:
        headers.append((b"content-type", kind.encode()))
    if answer.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
