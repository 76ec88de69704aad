"""Two calls of our own, in the standard's data formats: a master inserts keys that it brings, and voids keys.

keyhop_insert   takes a Key container (clause 6.3), in which `key_ID` may be left out, and the slaves as a Key request
                (6.2) names them; gives Key IDs (6.4)
keyhop_void     takes Key IDs, and the slaves; gives Key IDs, each with what became of it in `key_ID_extension`
"""

from base64 import b64decode, b64encode
from binascii import Error
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId, each_id, key_id_text, key_ids_from_texts
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi014.body import converted, plain
from keyhop.service.etsi014.models import KeyIdItem, Slaves, additional
from keyhop.service.requests import InsertedKeys, InsertKeys, VoidedKeys, VoidKeys


class _Item(msgspec.Struct, forbid_unknown_fields=True, rename={"key_id": "key_ID"}):
    key: str
    key_id: str | None = None


class _Insertion(msgspec.Struct, forbid_unknown_fields=True, rename={"additional_slaves": "additional_slave_SAE_IDs"}):
    keys: Annotated[list[_Item], Meta(min_length=1)]
    additional_slaves: Slaves | None = None


class _Void(
    msgspec.Struct,
    forbid_unknown_fields=True,
    rename={
        "key_ids": "key_IDs",
        "additional_slaves": "additional_slave_SAE_IDs",
        "extension": "key_IDs_extension",
    },
):
    key_ids: Annotated[list[KeyIdItem], Meta(min_length=1)]
    additional_slaves: Slaves | None = None
    extension: dict[str, Any] | None = None


_INSERTION, _VOID = msgspec.json.Decoder(_Insertion), msgspec.json.Decoder(_Void)


def _members_of_insertion(value: _Insertion) -> int:
    return 1 + (value.additional_slaves is not None) + sum(1 + (item.key_id is not None) for item in value.keys)


def _members_of_void(value: _Void) -> int:
    return 1 + (value.additional_slaves is not None) + len(value.key_ids)


def read_insertion(master: SaeId, slave: SaeId, body: bytes) -> InsertKeys:
    """Keys that a master brings. Raises BadRequest, which never quotes them."""
    request = plain(body, _INSERTION, _members_of_insertion) or converted(body, _Insertion)
    keys = [_decoded(item.key) for item in request.keys]
    if len({len(key) for key in keys}) != 1:
        raise BadRequest("the keys of one request shall be of one size")
    texts = [item.key_id for item in request.keys if item.key_id is not None]
    if texts and len(texts) != len(keys):
        raise BadRequest("either every key has a key_ID, or none has")
    ids = key_ids_from_texts(texts)
    others = additional(slave, request.additional_slaves)
    return InsertKeys(master, slave, KeyMaterial(b"".join(keys)), len(keys[0]), ids, others)


def read_void(master: SaeId, slave: SaeId, body: bytes) -> VoidKeys:
    """Keys that no slave shall get any more. Raises BadRequest."""
    request = plain(body, _VOID, _members_of_void) or converted(body, _Void)
    ids = key_ids_from_texts([item.key_id for item in request.key_ids])
    if len(set(each_id(ids))) != len(request.key_ids):
        raise BadRequest("the same key_ID is given twice")
    return VoidKeys(master, slave, ids, additional(slave, request.additional_slaves))


def encode_inserted(inserted: InsertedKeys) -> bytes:
    """Key IDs as JSON, in the order of the keys."""
    return msgspec.json.encode({"key_IDs": [{"key_ID": text} for text in _texts(inserted.ids)]})


def encode_voided(voided: VoidedKeys) -> bytes:
    """Key IDs as JSON, in the order in which they were asked for."""
    outcomes = zip(_texts(voided.ids), voided.voided, strict=True)
    items = [{"key_ID": text, "key_ID_extension": {"keyhop_voided": is_void}} for text, is_void in outcomes]
    return msgspec.json.encode({"key_IDs": items})


def _decoded(text: str) -> bytes:
    """Base64 in its one spelling (RFC 4648, section 4), and not of nothing."""
    try:
        key = b64decode(text, validate=True)
    except (Error, ValueError):
        key = b""
    if not key or b64encode(key).decode("ascii") != text:
        raise BadRequest("a key shall be base64 of at least one byte")
    return key


def _texts(ids: bytes) -> list[str]:
    return list(map(key_id_text, each_id(ids)))
