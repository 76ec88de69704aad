"""Requests that hand keys over and are under way: what of each is acknowledged, and when it is sent again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from keyhop.core.ids import SaeId
from keyhop.service.etsi020.calls import delay_s
from keyhop.service.etsi020.transfer import Transfer

type Sent = Callable[[str | None], None]
"""Gets None once all keys are relayed, or the reason why they are not and will never be used."""


@dataclass(slots=True)
class Request:
    """One of them; `missing` are the targets for which each key is not acknowledged yet."""

    transfer: Transfer
    body: bytes = field(repr=False)
    synchronous: bool
    deadline: float
    done: Sent
    missing: dict[bytes, set[SaeId]] = field(init=False)
    attempts: int = 0
    next_at: float | None = None
    """When it is sent again; None while an answer is awaited."""

    def __post_init__(self) -> None:
        self.missing = {key_id: set(self.transfer.saes.targets) for key_id in self.transfer.ids}

    def relayed(self, key_id: bytes, targets: Iterable[str]) -> bool:
        """A key is there for these targets; whether all keys are for all of theirs now."""
        if key_id in self.missing:
            self.missing[key_id] -= set(targets)
            if not self.missing[key_id]:
                del self.missing[key_id]
        return not self.missing

    def later(self, now: float, first_s: float, most_s: float) -> None:
        """It is sent again after so long, or longer each time."""
        self.next_at = now + delay_s(self.attempts, first_s, most_s)
        self.attempts += 1


class UnderWay:
    """All of them, by each of their keys."""

    def __init__(self) -> None:
        self._requests: dict[bytes, Request] = {}

    def __contains__(self, request: Request) -> bool:
        return self._requests.get(request.transfer.ids[0]) is request

    def add(self, request: Request) -> None:
        """From now on."""
        self._requests |= dict.fromkeys(request.transfer.ids, request)

    def drop(self, request: Request) -> None:
        """No longer."""
        for key_id in request.transfer.ids:
            self._requests.pop(key_id, None)

    def of(self, key_id: bytes) -> Request | None:
        """That of a key."""
        return self._requests.get(key_id)

    def those(self, ids: Iterable[bytes] | None = None) -> list[Request]:
        """Those of these keys, or all; each once."""
        found = map(self._requests.get, self._requests if ids is None else ids)
        return list({id(request): request for request in found if request is not None}.values())
