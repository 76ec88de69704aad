"""Answers as bytes. Key containers dominate: one key is a template, many keys are filled column by column.

Keys of one size make entries of one width, so character j of every entry is one strided slice of the whole
reply; a thousand keys of 256 bits cost some 110 slice assignments instead of a thousand loops.
"""

import json
from binascii import b2a_base64
from collections.abc import Buffer, Iterator

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import key_id_text
from keyhop.service.requests import KeyRun, Keys, Provenance

_ID_BYTES = 16
# Measured: with fewer keys than bytes in one, or with longer keys, one key at a time is as fast.
_MIN_COLUMN_KEYS = 24
_MAX_COLUMN_BYTES = 128

_ENTRY = b'{"key_ID":"%b","key":"%b"%b}'
_COMBINER = b',"key_extension":{"keyhop_combiner":"%b"}'
_EXPANDED = b',"key_extension":{"keyhop_expanded":true}'
_ID_AT = len(b'{"key_ID":"')
_KEY_AT = len(b'{"key_ID":"%b","key":"' % bytes(36))
_HEX_COLUMNS = tuple(column for column in range(36) if column not in (8, 13, 18, 23))


def encode_keys(keys: Keys) -> bytes:
    """The Key container data format (clause 6.3) as JSON."""
    entries = b",".join([_encode_run(run) for run in keys.runs if run.ids])
    if keys.provenance is None:
        return b'{"keys":[%b]}' % entries
    return b'{"keys":[%b],"key_container_extension":%b}' % (entries, _encode_provenance(keys.provenance))


def encode_error(error: KeyhopError) -> bytes:
    """The Error data format (clause 6.5) as JSON; ASCII, so that no name in it can break the encoding."""
    body: dict[str, object] = {"message": error.message}
    if error.details:
        body["details"] = list(error.details)
    return json.dumps(body).encode("ascii")


def _encode_provenance(provenance: Provenance) -> bytes:
    value = {"source": provenance.source, "paths": provenance.paths, "age_s": round(provenance.age_s, 3)}
    return json.dumps({"keyhop_provenance": value}).encode("ascii")


def _encode_run(run: KeyRun) -> bytes:
    if run.count == 1:
        return _encode_one(run.ids, run.material.reveal(), _extension(run))
    if run.size_bytes <= _MAX_COLUMN_BYTES and run.count >= max(_MIN_COLUMN_KEYS, run.size_bytes):
        return _encode_columns(run)
    return b",".join(_encode_each(run))


def _encode_each(run: KeyRun) -> Iterator[bytes]:
    ids, size, extension = run.ids, run.size_bytes, _extension(run)
    material = memoryview(run.material.reveal())
    for index in range(run.count):
        at = _ID_BYTES * index
        yield _encode_one(ids[at : at + _ID_BYTES], material[size * index : size * (index + 1)], extension)


def _encode_one(key_id: bytes, material: Buffer, extension: bytes) -> bytes:
    return _ENTRY % (key_id_text(key_id).encode("ascii"), b2a_base64(material, newline=False), extension)


def _extension(run: KeyRun) -> bytes:
    """What follows each key of the run."""
    if run.mark is None:
        return b""
    return _EXPANDED if run.mark == "expanded" else _COMBINER % run.mark.encode("ascii")


def _encode_columns(run: KeyRun) -> bytes:
    count, size = run.count, run.size_bytes
    padding = -size % 3
    text_width = (size + padding) // 3 * 4
    key = b"A" * (text_width - padding) + b"=" * padding
    template = _ENTRY % (b"00000000-0000-0000-0000-000000000000", key, _extension(run)) + b","
    width = len(template)
    reply = bytearray(template * count)
    digits = run.ids.hex().encode("ascii")
    for index, column in enumerate(_HEX_COLUMNS):
        reply[_ID_AT + column :: width] = digits[index::32]
    text = b2a_base64(_padded(run.material.reveal(), size, padding), newline=False)
    for index in range(text_width - padding):
        reply[_KEY_AT + index :: width] = text[index::text_width]
    del reply[-1]
    return bytes(reply)


def _padded(material: bytes, size: int, padding: int) -> bytes | bytearray:
    """Each key followed by `padding` zero bytes, so that base64 starts afresh at every key."""
    if not padding:
        return material
    width = size + padding
    padded = bytearray(len(material) // size * width)
    for index in range(size):
        padded[index::width] = material[index::size]
    return padded
