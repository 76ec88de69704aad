"""The PROXY header of a TLS off-loader: one kind is taken, everything else is refused."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.service.etsi014.proxy_header import MAX_HEADER_BYTES, SIGNATURE, HeaderRefused, ProxyHeader

ADDRESSES = {0x00: b"", 0x11: bytes(12), 0x21: bytes(36), 0x31: bytes(216)}
SSL, CERT_CONN, CERT_SESS = 1, 2, 4


def value(kind: int, content: bytes) -> bytes:
    return struct.pack("!BH", kind, len(content)) + content


def tls(name: bytes = b"alicesae", client: int = SSL | CERT_CONN, verify: int = 0, more: bytes = b"") -> bytes:
    return value(0x20, struct.pack("!BI", client, verify) + value(0x21, b"TLSv1.3") + value(0x22, name) + more)


def header(values: bytes, family: int = 0x11, command: int = 0x21, addresses: bytes | None = None) -> bytes:
    body = (ADDRESSES[family] if addresses is None else addresses) + values
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=64),
    st.sampled_from(sorted(ADDRESSES)),
    st.binary(max_size=50),
    st.lists(st.integers(0, 400)),
)
def test_the_name_and_what_follows_come_out_in_any_pieces(name: str, family: int, rest: bytes, cuts: list[int]) -> None:
    sent = header(value(0x04, b"padding") + tls(name.encode()), family)
    ends = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    read = ProxyHeader()
    for begin, end in itertools.pairwise(ends):
        whole = read.feed(sent[begin:end] + (rest if end == len(sent) else b""))
        assert whole is (end == len(sent))
    assert (read.common_name, read.rest) == (name, rest)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
        b"\x16\x03\x01\x02\x00",
        header(b""),
        header(value(0x04, b"")),
        header(tls(), command=0x20),  # LOCAL
        header(tls(), command=0x11),  # version 1
        header(tls(), family=0x11, addresses=bytes(11)),
        header(tls(), family=0x31, addresses=bytes(12)),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x12, 12) + bytes(12),  # datagrams
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 5) + bytes(5),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_HEADER_BYTES - 15),
        header(tls(client=0)),
        header(tls(client=SSL)),
        header(tls(client=CERT_CONN)),
        header(tls(client=SSL | CERT_SESS)),  # resumed: this time nobody looked at a certificate
        header(tls(verify=1)),
        header(tls(verify=10)),
        header(tls(verify=0xFFFFFFFF)),
        header(tls(b"")),
        header(tls(b"\xff")),
        header(tls() + tls(b"bobsae")),
        header(tls(more=value(0x22, b"bobsae"))),
        header(tls() + b"\x04"),
        header(tls() + b"\x04\x00\x05abcd"),
        header(value(0x20, b"\x03\x00\x00\x00")),
        header(value(0x20, b"\x03\x00\x00\x00\x00")),
        header(value(0x20, b"\x03\x00\x00\x00\x00" + b"\x22\x00\x09alicesae")),
        header(value(0x22, b"alicesae")),  # the name alone, outside of what was said of TLS
    ],
)
def test_everything_else_is_refused_by_its_last_byte(sent: bytes) -> None:
    with pytest.raises(HeaderRefused):
        any(map(ProxyHeader().feed, (sent[at : at + 1] for at in range(len(sent)))))


@given(st.binary(max_size=60), st.binary(max_size=40), st.integers(0, 1), st.integers(0, 60))
def test_rubbish_is_refused_or_awaited_within_bounds(front: bytes, middle: bytes, whole: int, at: int) -> None:
    good = header(tls())
    for sent in (front, SIGNATURE + front, good[:at] + middle + good[at + whole * len(middle) :]):
        read = ProxyHeader()
        try:
            done = read.feed(sent)
        except HeaderRefused:
            continue
        assert len(sent) <= MAX_HEADER_BYTES or done
        assert done is bool(read.common_name)


def test_the_signature_is_checked_byte_by_byte() -> None:
    for length in range(1, len(SIGNATURE)):
        assert ProxyHeader().feed(SIGNATURE[:length]) is False
        with pytest.raises(HeaderRefused):
            ProxyHeader().feed(SIGNATURE[:length] + b"x")
