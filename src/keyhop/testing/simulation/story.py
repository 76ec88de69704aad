"""A trace, told in words: who asked what, what was lost, which machine stopped in which phase, what was broken."""

from collections.abc import Callable, Iterator

from keyhop.core.ids import each_id, key_id_text
from keyhop.network import wire
from keyhop.network.relay.messages import Announce, Forward, OfRelay, Refused, Stuck, Vouch
from keyhop.network.wire.words import word_of
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertKeys
from keyhop.testing.simulation.saes import Question
from keyhop.testing.simulation.trace import Entry, Trace

_QUIET = ("sent",)
"""What is told only if somebody wants to see every message."""


def story(trace: Trace, *, messages: bool = False) -> Iterator[str]:
    """A line for each thing that happened, in the order of time."""
    for entry in trace.entries:
        if messages or entry.what not in _QUIET:
            yield f"{entry.at:10.4f}  {entry.where:<8}  {_told(entry)}"


def _told(entry: Entry) -> str:
    tell = _TELL.get(entry.what)
    if tell is not None:
        return tell(*entry.details)
    if entry.what.startswith("crashed"):
        return entry.what.replace("crashed", "loses its power")
    return " ".join((entry.what, *map(str, entry.details)))


def _message(how: str) -> Callable[[str, bytes], str]:
    return lambda peer, data: f"→ {peer}: {_shown(data)} {how}"


def _shown(data: bytes) -> str:
    body = word_of(data) or wire.decode(data).body
    match body:
        case wire.Placing():
            return f"Placing {len(body.parts)} blocks at {body.start} of epoch {body.epoch}"
        case wire.Leased() | wire.LeaseNoted():
            return f"{type(body).__name__} up to {body.taken} of epoch {body.epoch}"
        case wire.Mark() | wire.MarkNoted():
            return f"{type(body).__name__} {body.mark}"
        case wire.State():
            return f"State, owner {_marks(body.owned)}, follower {_marks(body.followed)}"
        case wire.Carry():
            return f"Carry of {len(body.ids) // 16} keys for {', '.join(body.slaves)}, pad at {body.pad}"
        case wire.Carried():
            return f"Carried: {'stored' if body.refusal is None else 'refused'}"
        case Announce():
            ways = ", ".join("-".join(path) for path in body.paths)
            return f"Announce of parcel {body.parcel.hex()[:8]}, {body.size} bytes by {ways}"
        case Forward():
            return f"Forward of parcel {body.parcel.hex()[:8]}, share {body.share} by {'-'.join(body.route)}"
        case Refused() | Stuck():
            return f"{type(body).__name__}: parcel {body.parcel.hex()[:8]}, {body.reason}"
        case Vouch():
            return f"Vouch for what {body.came_from} brings for {body.destination}, priority {body.priority}"
        case OfRelay():
            return f"{type(body).__name__} of parcel {body.parcel.hex()[:8]}"
        case _:
            return type(body).__name__


def _marks(marks: wire.OwnerMarks | wire.FollowerMarks) -> str:
    mark = marks.mark_seen if isinstance(marks, wire.OwnerMarks) else marks.mark
    return f"(epoch {marks.epoch}, produced {marks.produced}, taken {marks.taken}, mark {mark})"


def _asked(number: int, request: Question) -> str:
    return f"request {number}: {_question(request)}"


def _question(request: Question) -> str:
    if isinstance(request, GetKey):
        slaves = ", ".join((request.slave, *request.additional_slaves))
        size = f"{request.size_bits} bits" if request.size_bits else "the usual size"
        return f"{request.master} asks for {request.number} keys of {size} for {slaves}"
    if isinstance(request, GetKeyWithIds):
        return f"{request.slave} asks for {request.master}'s keys {_all_short(request.ids)}"
    slaves = ", ".join((request.slave, *request.additional_slaves))
    if isinstance(request, InsertKeys):
        named = f" as {_all_short(request.ids)}" if request.ids else ""
        return f"{request.master} brings {request.count} keys for {slaves}{named}"
    return f"{request.master} voids the keys {_all_short(request.ids)} for {slaves}"


def _voided(number: int, ids: bytes, voided: tuple[bool, ...]) -> str:
    void = b"".join(key_id for key_id, is_void in zip(each_id(ids), voided, strict=True) if is_void)
    return f"request {number}: void are {_all_short(void) or 'none'}"


def _answered(number: int, *runs: bytes) -> str:
    ids = [key_id for run in runs for key_id in each_id(run)]
    shown = ", ".join(map(_short, ids[:4])) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
    return f"request {number}: answered with keys {shown}"


def _all_short(ids: bytes) -> str:
    return ", ".join(map(_short, each_id(ids)))


def _short(key_id: bytes) -> str:
    return key_id_text(key_id)[:13]


_TELL: dict[str, Callable[..., str]] = {
    "action": lambda index, name: f"── action {index}: {name.replace('_', ' ')} ──",
    "sent": _message("leaves"),
    "lost": _message("is lost"),
    "lost in a partition": _message("is lost in a partition"),
    "repeated": _message("will come again"),
    "altered": _message("is an alteration"),
    "received a straggler": lambda peer, data: f"receives {_shown(data)} of an earlier connection from {peer}",
    "asked": _asked,
    "asked in vain": lambda number, request: f"is down: {_asked(number, request)}",
    "answered with keys": _answered,
    "has taken in": lambda number, ids: f"request {number}: taken in as {_all_short(ids)}",
    "has voided": _voided,
    "answered with an error": lambda number, kind, what: f"request {number}: answered with {kind}: {what}",
    "block": lambda sequence, size: f"the link produces block {sequence} of {size} bytes",
    "bad block": lambda sequence, size: f"the link produces block {sequence}, not the same at both ends",
    "killed": lambda: "is killed",
    "store failed": lambda why: f"stops: {why}",
    "restored": lambda age: f"is restored to a backup that is {age} s old",
    "promise broken": lambda promise, what: f"PROMISE BROKEN: {what}",
}
