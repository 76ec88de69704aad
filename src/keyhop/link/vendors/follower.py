"""The end that gets copies of the pieces that the initiator names. Without I/O: messages come in.

It keeps what it got until the initiator says which of it is a block. A block is delivered once its sequence is
remembered durably, and the answer goes after that. Copies of an initiator's earlier run are dropped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keyhop.core.errors import PeerError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.vendors.messages import (
    Held,
    Hello,
    Message,
    Offer,
    Refused,
    Seal,
    Sealed,
    Stranger,
    Welcome,
)
from keyhop.link.vendors.sealing import CopiesDiffer, Joined

MAX_HELD_BYTES = 4 << 20
NONE_HELD = "this end's device has none of the keys that the far end offers: are the two devices a pair?"


@dataclass(frozen=True, slots=True)
class Request:
    """What the device has to do: open with a greeting first if it is new, then find copies if `offer` is set."""

    greeting: bytes
    opens: bool
    offer: Offer | None


@dataclass(frozen=True, slots=True)
class FollowerEffects:
    """What the machine has done to the world."""

    send: Callable[[Message], None]
    trouble: Callable[[str], None]


class Follower:
    """`run` is this start's random name, `last` the highest sequence that this end remembers."""

    def __init__(self, kind: str, link: LinkId, run: bytes, last: int, effects: FollowerEffects) -> None:
        self._kind = kind
        self._link = link
        self._run = run
        self.last = last
        self._effects = effects
        self._initiator: bytes | None = None
        self._greeting = b""
        self._opened = False
        self._offer: Offer | None = None
        self._answer: Held | None = None
        self._in_vain = False
        self._held: dict[bytes, KeyMaterial] = {}
        self._seal: Seal | None = None
        self._answering = -1
        self._outcome: Sealed | Refused | None = None
        self.unlike: str | None = None
        """What is wrong with how the far end is configured."""

    @property
    def greeted(self) -> bool:
        """Whether an initiator has greeted."""
        return self._initiator is not None

    @property
    def waits_for(self) -> str:
        """What the far end owes us, for people."""
        if not self.greeted:
            return "the far end does not greet: is it the initiator?"
        return NONE_HELD if self._in_vain else "the far end offers no keys"

    @property
    def request(self) -> Request | None:
        """What the device has to do now."""
        if self._initiator is None or (self._opened and (self._offer is None or self._answer is not None)):
            return None
        offer = self._offer if self._answer is None else None
        return Request(self._greeting, not self._opened, offer)

    def opened(self, greeting: bytes) -> None:
        """The device is open with that greeting."""
        self._opened = self._opened or greeting == self._greeting

    def is_current(self, offer: Offer) -> bool:
        """Whether that offer still waits for an answer."""
        return self._offer is offer and self._answer is None

    def hold(self, offer: Offer, found: dict[bytes, KeyMaterial]) -> None:
        """What the device found of an offer; a copy of another size than the original's is none."""
        if not self.is_current(offer) or self._initiator is None:
            return
        indexes = []
        for index, (name, size) in enumerate(zip(offer.names, offer.sizes, strict=True)):
            material = found.get(name)
            if material is not None and len(material) == size and name not in self._held:
                self._held[name] = material
                indexes.append(index)
        self._in_vain = not indexes
        self._answer = Held(self._initiator, self._run, offer.round, tuple(indexes))
        self._effects.send(self._answer)

    def sealing(self) -> Sequence[bytes]:
        """The names of a block that the initiator wants, whose copies are all here and agree; else none."""
        return self._seal.names if self._seal is not None else ()

    def seal(self) -> tuple[int, KeyMaterial, Callable[[], None]] | None:
        """The pieces are spent at the device: sequence and bytes of the block, and how to answer.

        `last` is to be remembered first; then the block may be delivered, and then the answer goes. None when the
        initiator began a new run in between.
        """
        message, self._seal = self._seal, None
        if message is None:
            return None
        material = Joined(self._held.pop(name) for name in message.names).material()
        self.last = self._answering = message.sequence
        outcome = Sealed(message.initiator, self._run, message.sequence)

        def answer() -> None:
            if message.initiator == self._initiator:
                self._outcome = outcome
                self._effects.send(outcome)

        return message.sequence, material, answer

    def received(self, message: Message) -> None:
        """From the far end. Raises PeerError for what an initiator never sends; answers are none of our business."""
        match message:
            case Hello():
                self._hello(message)
            case Offer() | Seal():
                if (message.initiator, message.follower) != (self._initiator, self._run):
                    self._effects.send(Stranger(message.initiator))
                elif isinstance(message, Offer):
                    self._offered(message)
                else:
                    self._sealed(message)

    def _hello(self, message: Hello) -> None:
        self.unlike = None if message.kind == self._kind else "the far end's link is of another kind"
        if self.unlike is None and message.initiator != self._initiator:
            self._initiator, self._greeting, self._opened = message.initiator, message.greeting, False
            self._offer = self._answer = self._seal = self._outcome = None
            self._answering = -1
            self._held = {}
            self.last = max(self.last, message.last)
        self._effects.send(Welcome(message.initiator, self._run, self._kind, self.last))

    def _offered(self, offer: Offer) -> None:
        current = self._offer.round if self._offer else 0
        if offer.round == current and self._answer is not None:
            self._effects.send(self._answer)
        if offer.round <= current:
            return
        held = sum(len(material) for material in self._held.values())
        if held + sum(offer.sizes) > MAX_HELD_BYTES:
            raise PeerError("more pieces were offered than become blocks")
        self._offer, self._answer = offer, None

    def _sealed(self, message: Seal) -> None:
        if self._outcome is not None and message.sequence == self._outcome.sequence:
            self._effects.send(self._outcome)
            return
        if self._seal is not None or message.sequence == self._answering:
            return  # it is under way
        if message.sequence <= self.last or any(name not in self._held for name in message.names):
            self._refuse(message, differ=False)
            return
        try:
            Joined(self._held[name] for name in message.names).check(self._link, message.sequence, message.tag)
        except ValueError:
            raise PeerError("a block of too few bytes") from None
        except CopiesDiffer:
            self._effects.trouble("the devices gave different bytes under the same names; the block is dropped")
            self._refuse(message, differ=True)
            return
        self._seal = message

    def _refuse(self, message: Seal, *, differ: bool) -> None:
        for name in message.names:
            self._held.pop(name, None)
        self.last = max(self.last, message.sequence)
        refused = Refused(message.initiator, self._run, message.sequence, differ)
        if message.sequence == self.last:
            self._outcome = refused
        self._effects.send(refused)
