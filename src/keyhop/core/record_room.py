"""How many records there may be at one KME, and whose: one master, or one KME with all of its masters, may have as many
as are left for all others. So nobody fills what is for all."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from keyhop.core.ids import SaeId

MAX_RECORDS = 1 << 18


class Owner(Protocol):
    """Whose a record is: of which master, and which KME has sent it, or what made it here."""

    @property
    def master(self) -> SaeId: ...

    @property
    def sender(self) -> str: ...


class RecordRoom:
    """Of one KME."""

    def __init__(self, owners: Iterable[Owner]) -> None:
        self._of_master: Counter[SaeId] = Counter()
        self._of_sender: Counter[str] = Counter()
        for owner in owners:
            self.take(owner)

    def has(self, master: SaeId, sender: str, count: int) -> bool:
        """Whether there may be that many more."""
        held = max(self._of_master[master], self._of_sender[sender])
        return held + count <= MAX_RECORDS - self._of_sender.total()

    def take(self, owner: Owner) -> None:
        """There is one more."""
        self._of_master[owner.master] += 1
        self._of_sender[owner.sender] += 1

    def leave(self, owner: Owner) -> None:
        """One is gone."""
        _take_off(self._of_master, owner.master)
        _take_off(self._of_sender, owner.sender)


def _take_off[Name: str](counter: Counter[Name], name: Name) -> None:
    """Masters of other domains may have any name: those without records are not remembered."""
    counter[name] -= 1
    if not counter[name]:
        del counter[name]
