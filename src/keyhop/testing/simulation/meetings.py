"""Handshakes with pre-shared keys: whoever shows what the other end does not have stays outside, and what is over never
comes back."""

from collections.abc import Callable
from typing import NamedTuple

from keyhop.core.errors import PeerError
from keyhop.core.keys import KeyMaterial
from keyhop.network.psk.generations import PskGenerations
from keyhop.testing.violation import Violation


class Shown(NamedTuple):
    """What a machine that dials shows of a key; with the secret it proves that it has it."""

    identity: str
    generation: int
    secret: KeyMaterial


def shown_by(psk: PskGenerations | None) -> Shown | None:
    """None where certificates prove who is there."""
    return Shown(psk.identity(psk.current), psk.current, psk.secret(psk.current)) if psk else None


class Meetings:
    """Of one network. `violated` hears of what must not be."""

    def __init__(self, violated: Callable[[Violation], None]) -> None:
        self._violated = violated
        self._met: dict[str, int] = {}
        """The newest generation that two ends have met with, by the key that it is of."""

    def meet(self, psk: PskGenerations | None, shown: Shown | None) -> int | None:
        """The generation that the end that was dialled has seen proved. Raises PeerError where the handshake fails."""
        if psk is None or shown is None:
            return None
        generation = psk.shown(shown.identity)
        if generation is None or psk.secret(generation) != shown.secret:
            raise PeerError("a handshake with another key")
        key = shown.identity.rpartition(".")[0]
        if generation < self._met.get(key, 0):
            self._violated(Violation(0, f"generation {generation} of a key came back, which was over"))
        self._met[key] = generation
        return generation
