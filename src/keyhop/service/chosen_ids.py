"""Key IDs that a master chooses for keys of its own: each of them once, whatever becomes of the keys."""

from keyhop.core.endings import Ending
from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId, each_id, key_id_text
from keyhop.core.record_ids import chosen_record_id, is_chosen
from keyhop.core.records import RecordBook


def take_chosen(master: SaeId, ids: bytes, records: RecordBook, now: float) -> bytes:
    """The IDs of records for keys of these IDs; the master has used each of them from now on. Raises BadRequest."""
    chosen = each_id(ids)
    if not all(map(is_chosen, chosen)):
        raise BadRequest("a key_ID of your own shall be a UUID of version 1, 2, 3, 5, 6 or 7")
    if len(set(chosen)) != len(chosen):
        raise BadRequest("the same key_ID is given twice")
    kept_as = {chosen_record_id(master, key_id): key_id for key_id in chosen}
    used = tuple({"key_ID": key_id_text(key_id)} for kept, key_id in kept_as.items() if records.knows(kept))
    if used:
        raise BadRequest("one or more key_IDs have been used before", details=used)
    for kept in kept_as:
        records.endings.add(kept, Ending(master, [], now))
    return b"".join(kept_as)
