"""Wire spellings of ETSI GS QKD 014 V1.1.1, clause 6, and the way from them to `service.requests`."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId, key_ids_from_texts, sae_id
from keyhop.network.wire_types import MAX_SLAVES
from keyhop.service.etsi014.body import converted, plain
from keyhop.service.etsi014.extensions import read_extensions
from keyhop.service.etsi014.id_columns import ids_in_columns
from keyhop.service.etsi014.target import MAX_INTEGER
from keyhop.service.requests import GetKey, GetKeyWithIds, Status

MAX_ADDITIONAL_SLAVES = MAX_SLAVES - 1  # as policies may allow
_MAX_PARAMETERS = 64

_Integer = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Slaves = Annotated[list[str], Meta(max_length=MAX_ADDITIONAL_SLAVES)]
_Parameters = Annotated[list[dict[str, Any]], Meta(max_length=_MAX_PARAMETERS)]


class KeyRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"additional_slaves": "additional_slave_SAE_IDs"}):
    """Clause 6.2, Key request; null stands for absent."""

    number: _Integer | None = None
    size: _Integer | None = None
    additional_slaves: Slaves | None = None
    extension_mandatory: _Parameters | None = None
    extension_optional: _Parameters | None = None


class KeyIdItem(
    msgspec.Struct, forbid_unknown_fields=True, rename={"key_id": "key_ID", "extension": "key_ID_extension"}
):
    """One item of `key_IDs`; its extension is reserved by the standard and ignored."""

    key_id: str
    extension: dict[str, Any] | None = None


class KeyIds(
    msgspec.Struct,
    forbid_unknown_fields=True,
    rename={"key_ids": "key_IDs", "extension": "key_IDs_extension"},
):
    """Clause 6.4, Key IDs; its extension is reserved by the standard and ignored."""

    key_ids: Annotated[list[KeyIdItem], Meta(min_length=1)]
    extension: dict[str, Any] | None = None


class StatusReply(
    msgspec.Struct,
    rename={
        "source_kme": "source_KME_ID",
        "target_kme": "target_KME_ID",
        "master": "master_SAE_ID",
        "slave": "slave_SAE_ID",
        "max_sae_id_count": "max_SAE_ID_count",
    },
):
    """Clause 6.1, Status; sizes in bits."""

    source_kme: str
    target_kme: str
    master: str
    slave: str
    key_size: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size: int
    min_key_size: int
    max_sae_id_count: int


class _PlainKeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    number: _Integer | None = None
    size: _Integer | None = None


class _PlainItem(msgspec.Struct, forbid_unknown_fields=True, gc=False, rename={"key_id": "key_ID"}):
    key_id: str


class _PlainKeyIds(msgspec.Struct, forbid_unknown_fields=True, rename={"key_ids": "key_IDs"}):
    key_ids: Annotated[list[_PlainItem], Meta(min_length=1)]


_PLAIN_KEY_REQUEST = msgspec.json.Decoder(_PlainKeyRequest)
_PLAIN_KEY_IDS = msgspec.json.Decoder(_PlainKeyIds)


def read_key_request(master: SaeId, slave: SaeId, body: bytes) -> GetKey:
    """Get key by POST: an empty body asks for the defaults. Raises BadRequest."""
    if not body.strip():
        return GetKey(master, slave)
    usual = plain(body, _PLAIN_KEY_REQUEST, lambda value: (value.number is not None) + (value.size is not None))
    if usual is not None:
        return GetKey(master, slave, usual.number, usual.size)
    request = converted(body, KeyRequest)
    others = additional(slave, request.additional_slaves)
    asked = read_extensions(request.extension_mandatory, request.extension_optional)
    return GetKey(
        master,
        slave,
        number=request.number,
        size_bits=request.size,
        additional_slaves=others,
        route=asked.route,
        route_strict=asked.route_strict,
        max_age_s=asked.max_age_s,
        max_age_strict=asked.max_age_strict,
        provenance=asked.provenance,
    )


def read_key_ids(slave: SaeId, master: SaeId, body: bytes) -> GetKeyWithIds:
    """Get key with key IDs by POST. Raises BadRequest."""
    if not body.strip():
        raise BadRequest("key_IDs is required")
    ids = ids_in_columns(body, _texts)
    if ids is None:
        ids = key_ids_from_texts(_texts(body))
    return GetKeyWithIds(slave, master, ids)


def additional(slave: SaeId, names: list[str] | None) -> tuple[SaeId, ...]:
    """The slaves that `additional_slave_SAE_IDs` names beside the one in the path. Raises BadRequest."""
    others = tuple(map(sae_id, names or ()))
    if len({slave, *others}) != 1 + len(others):
        raise BadRequest("additional_slave_SAE_IDs shall not name an SAE twice, nor the one in the path")
    return others


def encode_status(status: Status) -> bytes:
    """The Status data format as JSON."""
    return msgspec.json.encode(
        StatusReply(
            source_kme=status.source_kme,
            target_kme=status.target_kme,
            master=status.master,
            slave=status.slave,
            key_size=status.key_size_bits,
            stored_key_count=status.stored_key_count,
            max_key_count=status.max_key_count,
            max_key_per_request=status.max_key_per_request,
            max_key_size=status.max_key_size_bits,
            min_key_size=status.min_key_size_bits,
            max_sae_id_count=status.max_sae_id_count,
        )
    )


def _texts(body: bytes) -> list[str]:
    request = plain(body, _PLAIN_KEY_IDS, lambda value: 1 + len(value.key_ids))
    if request is not None:
        return [item.key_id for item in request.key_ids]
    return [item.key_id for item in converted(body, KeyIds).key_ids]
