"""The calls of ETSI GS QKD 014 V1.1.1 (clause 5), and two of keyhop's own, as requests ready to send; no I/O here.

GET is used where the standard allows it: Get status; Get key with only `number` and `size`; Get key with key
IDs for one ID. POST otherwise, and for both key calls when `always_post` is set.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from keyhop.apps.client.answers import read_inserted, read_keys_by_id, read_new_keys, read_status, read_voided
from keyhop.apps.client.results import KeyContainer, SecretBytes, Status, Voided

ROOT = "/api/v1/keys/"


@dataclass(frozen=True, slots=True)
class Call[Result]:
    """One request, and how the body of its answer with code 200 is read."""

    method: Literal["GET", "POST"]
    target: str
    body: bytes | None = field(repr=False)
    read: Callable[[bytes], Result]


def get_status(slave: str) -> Call[Status]:
    """Get status (clause 5.1). Raises ValueError for an SAE ID that no path can hold."""
    return Call("GET", _target(slave, "status"), None, read_status)


def get_key(
    slave: str,
    *,
    number: int | None = None,
    size_bits: int | None = None,
    additional_slaves: Sequence[str] = (),
    extension_mandatory: Mapping[str, Any] | None = None,
    extension_optional: Mapping[str, Any] | None = None,
    always_post: bool = False,
) -> Call[KeyContainer]:
    """Get key (clause 5.2). Raises ValueError for what could not be put in a request."""
    for name, value in (("number", number), ("size_bits", size_bits)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1")
    plain = {"number": number, "size": size_bits}
    rich = {
        "additional_slave_SAE_IDs": list(additional_slaves),
        "extension_mandatory": _extensions(extension_mandatory),
        "extension_optional": _extensions(extension_optional),
    }
    given = {name: value for name, value in plain.items() if value is not None}
    given_rich = {name: value for name, value in rich.items() if value}
    read = partial(read_new_keys, number=number or 1, size_bits=size_bits)
    if given_rich or always_post:
        return Call("POST", _target(slave, "enc_keys"), _json(given | given_rich), read)
    return Call("GET", _target(slave, "enc_keys", given), None, read)


def get_key_with_ids(master: str, key_ids: Sequence[UUID | str], *, always_post: bool = False) -> Call[KeyContainer]:
    """Get key with key IDs (clause 5.3). Raises ValueError for IDs that are no UUIDs, repeated or absent."""
    wanted = _different(key_ids)
    read = partial(read_keys_by_id, wanted=wanted)
    if len(wanted) == 1 and not always_post:
        return Call("GET", _target(master, "dec_keys", {"key_ID": wanted[0]}), None, read)
    body = _json({"key_IDs": [{"key_ID": str(key_id)} for key_id in wanted]})
    return Call("POST", _target(master, "dec_keys"), body, read)


def insert_keys(
    slave: str,
    keys: Sequence[SecretBytes],
    *,
    key_ids: Sequence[UUID | str] | None = None,
    additional_slaves: Sequence[str] = (),
) -> Call[tuple[UUID, ...]]:
    """keyhop_insert. Raises ValueError for no keys, keys of no or different lengths, and IDs that do not fit them."""
    if not keys or len({len(key) for key in keys}) != 1 or not len(keys[0]):
        raise ValueError("keys must be at least one key, all of one length")
    chosen = None if key_ids is None else _different(key_ids)
    if chosen is not None and len(chosen) != len(keys):
        raise ValueError("key_ids must name as many keys as there are")
    items = [{"key": b64encode(key.reveal()).decode()} for key in keys]
    for item, key_id in zip(items, chosen or ()):  # noqa: B905 - for all, or for none
        item["key_ID"] = str(key_id)
    body = _json({"keys": items} | _slaves(additional_slaves))
    return Call("POST", _target(slave, "keyhop_insert"), body, partial(read_inserted, count=len(keys), chosen=chosen))


def void_keys(slave: str, key_ids: Sequence[UUID | str], *, additional_slaves: Sequence[str] = ()) -> Call[Voided]:
    """keyhop_void. Raises ValueError for IDs that are no UUIDs, repeated or absent."""
    wanted = _different(key_ids)
    body = _json({"key_IDs": [{"key_ID": str(key_id)} for key_id in wanted]} | _slaves(additional_slaves))
    return Call("POST", _target(slave, "keyhop_void"), body, partial(read_voided, wanted=wanted))


def _different(key_ids: Sequence[UUID | str]) -> tuple[UUID, ...]:
    wanted = tuple(i if isinstance(i, UUID) else UUID(i) for i in key_ids)
    if not wanted or len(set(wanted)) != len(wanted):
        raise ValueError("key_ids must name at least one key, and none twice")
    return wanted


def _slaves(additional: Sequence[str]) -> dict[str, object]:
    return {"additional_slave_SAE_IDs": list(additional)} if additional else {}


def _target(sae_id: str, what: str, query: Mapping[str, object] | None = None) -> str:
    # Dots are never percent-encoded, so these two would climb out of the path at some hop.
    if sae_id in {"", ".", ".."}:
        raise ValueError("an SAE ID cannot be empty, '.' or '..'")
    path = f"{ROOT}{quote(sae_id, safe='')}/{what}"
    return f"{path}?{urlencode(query)}" if query else path


def _extensions(values: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [{name: value} for name, value in (values or {}).items()]


def _json(value: Mapping[str, object]) -> bytes:
    try:
        return msgspec.json.encode(value)
    except TypeError as error:
        raise ValueError(f"an extension is not JSON: {error}") from None
