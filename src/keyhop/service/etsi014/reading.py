"""From bytes to requests: httptools (llhttp) parses, the bounds are ours. No I/O, no time.

A parsed request takes forty times the memory of the shortest one's bytes. So bytes are parsed only when the next
request is wanted, and then a few: what else a client has sent stays as it came.

An SAE sends the same few heads again and again. While a connection is between two requests, bytes that begin with the
head of an earlier one and have its length can only be that request again, with another body: they are not parsed twice.
"""

from collections import deque
from typing import NamedTuple

from httptools import HttpParserError, HttpRequestParser

from keyhop.core.ids import SaeId
from keyhop.service.etsi014.body import MAX_BODY_BYTES, TOO_LARGE
from keyhop.service.etsi014.calls import Ask, understand

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 64
MAX_CODED_BODY_BYTES = 8 * MAX_BODY_BYTES  # with the sizes of its chunks and the trailers, which nobody reads
_MAX_KNOWN_HEAD_BYTES = 2048
_MAX_KNOWN_HEADS = 4  # both calls and the status, say
_PART_BYTES = 512  # are parsed at once: less than thirty requests

_HEAD_TOO_LARGE = f"the request head shall have at most {MAX_HEAD_BYTES} bytes"
_END_OF_HEAD = b"\r\n\r\n"
_NO_PARSER = HttpRequestParser(None)


class Call(NamedTuple):
    """A head as it was understood: `keep_alive` is what the client wants, `bodiless` what HEAD wants.

    `kind` is the end of the URL, which requests that are alike have in common.
    """

    ask: Ask
    kind: bytes
    keep_alive: bool
    bodiless: bool


class _Known(NamedTuple):
    """A head, and the length of the whole request."""

    call: Call
    head: bytes
    length: int


class _Refusal(Exception):
    """Raised inside the parser's callbacks."""


class RequestReader:
    """Reads the requests of one connection of `caller`.

    `refusal` is why nothing more can be read, once there is a reason; the requests before it come first. `receiving`
    says that a request has begun and is not whole, `in_body` that its head is, `awaited` that the client waits for a
    word before it sends the body.
    """

    def __init__(self, caller: SaeId | None) -> None:
        self.refusal: str | None = None
        self.receiving = self.in_body = self.awaited = False
        self._caller = caller
        self._parser = HttpRequestParser(self)
        self._data, self._at = b"", 0  # what came and is not all parsed, and how much of it is
        self._fresh = True
        self._whole: deque[tuple[Call, bytes]] = deque()
        self._call: Call | None = None
        self._begin()
        self._part_bytes = 0
        self._known: list[_Known] = []

    @property
    def waiting(self) -> bool:
        """Whether there is more of what came than `next` has given: nothing more should be fed."""
        return bool(self._data or self._whole)

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._data or self._whole:
            self._data, self._at, self._fresh = self._data[self._at :] + data, 0, False
            return
        fresh = not self.receiving
        if fresh:
            for call, head, length in self._known:
                if len(data) == length and data.startswith(head):
                    self._whole.append((call, data[len(head) :]))
                    return
        self._data, self._at, self._fresh = data, 0, fresh

    def next(self) -> tuple[Call, bytes] | None:
        """The next request that is whole, with its body."""
        whole = self._whole
        while self._data and not whole and self.refusal is None:
            self._parse_part()
        return whole.popleft() if whole else None

    def end(self) -> None:
        """Forgets what `next` has not given. Nothing more shall be fed."""
        self._data = b""
        self._whole.clear()
        self._parser = _NO_PARSER  # which held us as we held it

    def _parse_part(self) -> None:
        data, rest_of_body = self._data, self._length - self._body_bytes
        part = data[self._at : self._at + max(_PART_BYTES, rest_of_body)]
        self._at += len(part)
        at_end = self._at == len(data)
        if at_end:
            self._data = b""
        self._part_bytes = self._part_bytes + len(part) if self.receiving else len(part)
        try:
            self._parser.feed_data(part)
        except HttpParserError:
            self.refusal = self.refusal or "malformed HTTP request"
            return
        if self.receiving:
            self._check_part()
        elif self._fresh and self._whole and at_end:
            self._get_to_know(data, self._whole[-1][0])

    def on_message_begin(self) -> None:
        """Of httptools, as all that follow."""
        self._begin()
        self.receiving = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_body:  # there it is a trailer
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        headers, parser = self._headers, self._parser
        if self._part_bytes > MAX_HEAD_BYTES:
            head = len(self._url) + sum(len(name) + len(value) for name, value in headers)
            self._require(head <= MAX_HEAD_BYTES, _HEAD_TOO_LARGE)
        self._require(len(headers) <= MAX_HEADERS, f"a request shall have at most {MAX_HEADERS} headers")
        self._require(not parser.should_upgrade(), "protocol upgrades are not supported")
        for name, value in headers:
            if name == b"content-length":
                self._require(len(value) < 10 and int(value) <= MAX_BODY_BYTES, TOO_LARGE)
                self._length = int(value)
            elif name == b"expect" and value.lower() == b"100-continue":
                self.awaited = True
        method = parser.get_method().decode("ascii")
        keep_alive = parser.should_keep_alive() and parser.get_http_version() != "1.0"
        ask, kind = understand(self._caller, method, self._url, headers), self._url.rpartition(b"/")[2]
        self._call = Call(ask, kind, keep_alive, method == "HEAD")
        self.in_body = True
        self._part_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._require(self._body_bytes <= MAX_BODY_BYTES, TOO_LARGE)
        self._body.append(body)

    def on_message_complete(self) -> None:
        assert self._call is not None  # the head came first
        self._whole.append((self._call, b"".join(self._body)))
        self.receiving = self.in_body = self.awaited = False
        self._part_bytes = 0

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._call = None
        self._length = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def _require(self, condition: bool, otherwise: str) -> None:
        if not condition:
            self.refusal = otherwise
            raise _Refusal(otherwise)

    def _check_part(self) -> None:
        if self.in_body and self._part_bytes > MAX_CODED_BODY_BYTES:
            self.refusal = TOO_LARGE
        elif not self.in_body and self._part_bytes > MAX_HEAD_BYTES:
            self.refusal = _HEAD_TOO_LARGE

    def _get_to_know(self, data: bytes, call: Call) -> None:
        """Only if `data` is a head and a body of the length that it names, to the last byte."""
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if end <= _MAX_KNOWN_HEAD_BYTES and end + self._length == len(data) and self._body_bytes == self._length:
            self._known = [_Known(call, data[:end], len(data)), *self._known[: _MAX_KNOWN_HEADS - 1]]
