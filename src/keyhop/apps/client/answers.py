"""Reading what a KME answers, as data that an enemy may have written; no I/O here.

An answer is bounded before it is parsed. Fields that the standard does not know are ignored, the ones it
requires must be there with their types (ETSI GS QKD 014 V1.1.1, clause 6). msgspec's messages give the place
of a fault, never a value; errors are raised outside `except` so that no cause in their chain holds the body.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec

from keyhop.apps.client.errors import BadRequest, ClientError, ProtocolError, Unauthorised, Unavailable
from keyhop.apps.client.results import Key, KeyContainer, SecretBytes, Status, Voided

MAX_TEXT = 500
MAX_DETAILS = 32
MAX_DEPTH = 32  # of a vendor's own JSON: whoever prints or copies it recurses

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Status(msgspec.Struct):
    source_KME_ID: str  # noqa: N815
    target_KME_ID: str  # noqa: N815
    master_SAE_ID: str  # noqa: N815
    slave_SAE_ID: str  # noqa: N815
    key_size: Count
    stored_key_count: Count
    max_key_count: Count
    max_key_per_request: Count
    max_key_size: Count
    min_key_size: Count
    max_SAE_ID_count: Count  # noqa: N815
    status_extension: Any = None


class _Key(msgspec.Struct):
    key_ID: UUID  # noqa: N815
    key: bytes
    key_ID_extension: Any = None  # noqa: N815
    key_extension: Any = None


class _KeyContainer(msgspec.Struct):
    keys: list[_Key]
    key_container_extension: Any = None


class _KeyId(msgspec.Struct):
    key_ID: UUID  # noqa: N815
    key_ID_extension: dict[str, Any] | None = None  # noqa: N815


class _KeyIds(msgspec.Struct):
    key_IDs: list[_KeyId]  # noqa: N815


class _Error(msgspec.Struct):
    message: str = ""
    details: Any = None


class Answer[Result]:
    """One answer as it arrives: `receive` its body in pieces, then take the `result`.

    Header names are looked up in lower case.
    Both raise ProtocolError; `result` also the error that the KME's code stands for.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], read: Callable[[bytes], Result], max_bytes: int
    ) -> None:
        self._status = status
        self._retry_after = headers.get("retry-after", "")
        self._read = read
        self._max_bytes = max_bytes
        self._body = bytearray()
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise ProtocolError("the KME compressed its answer although told not to", status=status)
        announced = headers.get("content-length", "")
        if announced.isdecimal() and len(announced) < 20:
            self._bound(int(announced))

    def receive(self, piece: bytes) -> None:
        """More of the body."""
        self._bound(len(self._body) + len(piece))
        self._body += piece

    def result(self) -> Result:
        """What the whole answer says."""
        if self._status == 200:
            return self._read(bytes(self._body))
        raise _refusal(self._status, bytes(self._body), self._retry_after)

    def _bound(self, size: int) -> None:
        if size > self._max_bytes:
            raise ProtocolError(f"the KME's answer is over {self._max_bytes} bytes", status=self._status)


def read_status(body: bytes) -> Status:
    """Status (clause 6.1). Raises ProtocolError."""
    got = _parse(body, _Status)
    _bound_depth(got.status_extension)
    return Status(
        source_kme_id=got.source_KME_ID,
        target_kme_id=got.target_KME_ID,
        master_sae_id=got.master_SAE_ID,
        slave_sae_id=got.slave_SAE_ID,
        key_size_bits=got.key_size,
        stored_key_count=got.stored_key_count,
        max_key_count=got.max_key_count,
        max_key_per_request=got.max_key_per_request,
        max_key_size_bits=got.max_key_size,
        min_key_size_bits=got.min_key_size,
        max_sae_id_count=got.max_SAE_ID_count,
        extension=got.status_extension,
    )


def read_new_keys(body: bytes, *, number: int, size_bits: int | None) -> KeyContainer:
    """Key container (clause 6.3) that holds `number` keys of `size_bits`. Raises ProtocolError."""
    container = _read_container(body)
    if len(container.keys) != number:
        raise ProtocolError(f"{number} keys were asked for, {len(container.keys)} came", status=200)
    for key in container.keys:
        if size_bits is not None and key.size_bits != size_bits:
            raise ProtocolError(f"keys of {size_bits} bits were asked for, {key.size_bits} bits came", status=200)
    return container


def read_keys_by_id(body: bytes, *, wanted: tuple[UUID, ...]) -> KeyContainer:
    """Key container with exactly the keys `wanted`, put in their order. Raises ProtocolError."""
    container = _read_container(body)
    by_id = {key.key_id: key for key in container.keys}
    if by_id.keys() != set(wanted):
        raise ProtocolError("the keys that came are not the ones asked for", status=200)
    return KeyContainer(tuple(by_id[key_id] for key_id in wanted), container.extension)


def read_inserted(body: bytes, *, count: int, chosen: tuple[UUID, ...] | None) -> tuple[UUID, ...]:
    """Key IDs (clause 6.4) of `count` keys, those that were `chosen` if any were. Raises ProtocolError."""
    ids = tuple(item.key_ID for item in _parse(body, _KeyIds).key_IDs)
    if len(ids) != count or len(set(ids)) != count or (chosen is not None and ids != chosen):
        raise ProtocolError("the key IDs that came are not those of the keys that were inserted", status=200)
    return ids


def read_voided(body: bytes, *, wanted: tuple[UUID, ...]) -> Voided:
    """Key IDs with keyhop_voided for each of those `wanted`. Raises ProtocolError."""
    items = _parse(body, _KeyIds).key_IDs
    told = {item.key_ID: (item.key_ID_extension or {}).get("keyhop_voided") for item in items}
    if len(told) != len(items) or told.keys() != set(wanted) or not all(type(each) is bool for each in told.values()):
        raise ProtocolError("the answer does not say of each key whether it is void", status=200)
    return Voided(tuple(i for i in wanted if told[i]), tuple(i for i in wanted if not told[i]))


def _read_container(body: bytes) -> KeyContainer:
    got = _parse(body, _KeyContainer)
    _bound_depth([got.key_container_extension, [[k.key_ID_extension, k.key_extension] for k in got.keys]])
    keys = tuple(Key(k.key_ID, SecretBytes(k.key), k.key_ID_extension, k.key_extension) for k in got.keys)
    if len({key.key_id for key in keys}) != len(keys):
        raise ProtocolError("the same key_ID came twice in one answer", status=200)
    if not all(len(key.secret) for key in keys):
        raise ProtocolError("a key of no length came", status=200)
    return KeyContainer(keys, got.key_container_extension)


def _parse[Wire](body: bytes, kind: type[Wire]) -> Wire:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        problem = str(error)
    except (ValueError, RecursionError) as error:
        problem = "text that is not UTF-8" if isinstance(error, ValueError) else "nested too deeply"
    raise ProtocolError(f"the KME's answer cannot be read: {problem}", status=200)


def _bound_depth(extensions: Any) -> None:
    if not _is_shallow(extensions, MAX_DEPTH):
        raise ProtocolError(f"an extension is nested over about {MAX_DEPTH} levels deep", status=200)


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in inner)


def _refusal(status: int, body: bytes, retry_after: str) -> ClientError:
    message, details = _read_error(body)
    match status:
        case 400:
            return BadRequest(message or "bad request", status=status, details=details)
        case 401:
            return Unauthorised(message or "unauthorised", status=status, details=details)
        case 503:
            seconds = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 10 else None
            text = message or "unavailable, no reason given"
            return Unavailable(text, status=status, details=details, retry_after_s=seconds)
    text = f"the KME answered with code {status}" + (f": {message}" if message else "")
    return ProtocolError(text, status=status, details=details)


def _read_error(body: bytes) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    """Message and details (clause 6.5), nothing of what is malformed: the code alone says enough."""
    try:
        got = msgspec.json.decode(body, type=_Error)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "", ()
    details = got.details if isinstance(got.details, list) else []
    message = "".join(c if c.isprintable() else " " for c in got.message[:MAX_TEXT]).strip()
    return message, tuple(d for d in details[:MAX_DETAILS] if isinstance(d, dict) and _is_shallow(d, MAX_DEPTH))
