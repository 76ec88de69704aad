"""The end that takes pieces from its device and decides on blocks. Without I/O: time and messages come in.

The rules:

1. One offer and one seal are under way at a time, independently of each other.
2. A sequence is the highest that either end ever knew, plus one; it is remembered durably before the far end is told.
3. A block is delivered once the far end says that it has it. Whatever is lost on the way is lost for both.
4. When either end starts anew, what was agreed on before is dropped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

from keyhop.core.errors import PeerError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.vendors.device import DeviceFault, Piece
from keyhop.link.vendors.messages import (
    MAX_NAMES,
    MAX_SEQUENCE,
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
from keyhop.link.vendors.sealing import MIN_BLOCK_BYTES, TAG_KEY_BYTES, Joined

RESEND_S = 1.0
KEEPALIVE_S = 2.0
"""So often the far end is greeted all the same: it may have started anew while there is nothing else to say."""

PATIENCE_S = 60.0
"""How long the far end may take to find its copies of one offer, before both begin anew."""


@dataclass(slots=True)
class _Sealing:
    message: Seal
    material: KeyMaterial
    durable: bool = False


@dataclass(frozen=True, slots=True)
class InitiatorEffects:
    """What the machine has done to the world: `lost` takes names, `block` a sequence and its bytes."""

    send: Callable[[Message], None]
    block: Callable[[int, KeyMaterial], None]
    lost: Callable[[Sequence[bytes]], None]
    trouble: Callable[[str], None]


class Initiator:
    """`block_bytes` is the least size of a block, `last` the highest sequence that this end remembers."""

    def __init__(self, kind: str, link: LinkId, block_bytes: int, last: int, effects: InitiatorEffects) -> None:
        self._kind = kind
        self._link = link
        self._block_bytes = max(block_bytes, MIN_BLOCK_BYTES)
        self.last = last
        self._effects = effects
        self._hello: Hello | None = None
        self._run = b""
        self._follower: bytes | None = None
        self._round = 0
        self._offer: Offer | None = None
        self._offered: dict[bytes, KeyMaterial] = {}
        self._agreed: dict[bytes, KeyMaterial] = {}
        self._picked: list[bytes] = []
        self._sealing: _Sealing | None = None
        self._sent_s = {"hello": 0.0, "offer": 0.0, "seal": 0.0}
        self._offered_s = 0.0
        self.stuck = False
        """Whether an offer has not been answered for PATIENCE_S."""
        self.answers_without_pieces = 0
        """How many offers in a row found no copy at the far end."""
        self.unlike: str | None = None
        """What is wrong with how the far end is configured."""

    @property
    def greeted(self) -> bool:
        """Whether the far end has answered this run."""
        return self._follower is not None

    @property
    def wanted_bytes(self) -> int:
        """How many bytes the next offer should have; 0 while none can be made."""
        if not self.greeted or self._offer is not None or self._agreed_bytes() >= 2 * self._goal:
            return 0
        return max(1, self._goal - self._agreed_bytes() % self._goal)

    @property
    def waits_for(self) -> str:
        """What the far end owes us, for people."""
        return "the far end has not got its copies yet" if self.greeted else "the far end does not answer"

    def begin(self, run: bytes, greeting: bytes, now_s: float) -> None:
        """A new run: whatever was under way is over."""
        self._drop_all()
        self._run, self._follower, self.stuck = run, None, False
        self._hello = Hello(run, self._kind, self.last, greeting)
        self._greet(now_s)

    def check(self, pieces: Sequence[Piece]) -> None:
        """Whether a device may give these. Raises DeviceFault."""
        names = [piece.name for piece in pieces]
        if len(set(names)) != len(names) or any(name in self._agreed for name in names):
            raise DeviceFault("the device gave two keys under one name")
        secrets = {piece.material.reveal() for piece in pieces}
        if len(secrets) != len(names) or any(material.reveal() in secrets for material in self._agreed.values()):
            raise DeviceFault("the device gave the same key twice")
        if not 1 <= len(pieces) <= MAX_NAMES:
            raise DeviceFault("the device gave too many keys at once, or none")

    def offer(self, pieces: Sequence[Piece], now_s: float) -> bool:
        """Names checked pieces to the far end; False when it is no longer the time for that."""
        if self._follower is None or self._offer is not None:
            return False
        self._round += 1
        self._offered = {piece.name: piece.material for piece in pieces}
        sizes = tuple(len(piece.material) for piece in pieces)
        self._offer = Offer(self._run, self._follower, self._round, tuple(self._offered), sizes)
        self._send("offer", self._offer, now_s)
        self._offered_s = now_s
        return True

    @property
    def ready(self) -> bool:
        """Whether the pieces of a block are there, and no other block is under way."""
        return self._sealing is None and not self._picked and bool(self._next_block())

    def pick(self) -> list[bytes]:
        """The pieces of the next block; to be called when `ready`."""
        self._picked = self._next_block()
        return list(self._picked)

    def seal(self) -> Callable[[float], None] | None:
        """The picked pieces are spent at the device: `last` is to be remembered, and then the result called.

        None when the run has ended since they were picked.
        """
        if not self._picked or self._follower is None:
            return None
        names, self._picked = self._picked, []
        joined = Joined(self._agreed.pop(name) for name in names)
        if self.last + 1 >= MAX_SEQUENCE:
            raise DeviceFault("the link has used up its sequences")
        self.last += 1
        tag = joined.tag(self._link, self.last)
        sealing = _Sealing(Seal(self._run, self._follower, self.last, tuple(names), tag), joined.material())
        self._sealing = sealing

        def durable(now_s: float) -> None:
            if self._sealing is sealing:
                sealing.durable = True
                self._send("seal", sealing.message, now_s)

        return durable

    def received(self, message: Message, now_s: float) -> None:
        """From the far end. Raises PeerError for what a follower never sends."""
        if isinstance(message, Hello):
            self.unlike = "both ends have the role initiator"
        if message.initiator != self._run or self._hello is None:
            return
        match message:
            case Welcome():
                self._welcome(message)
            case Stranger():
                self._greet(now_s)
            case Held() if message.follower == self._follower:
                self._held(message)
            case Sealed() | Refused() if message.follower == self._follower:
                self._answered(message)

    def tick(self, now_s: float) -> None:
        """Repeats what is not answered."""
        greet_s = KEEPALIVE_S if self.greeted else RESEND_S
        if self._hello is not None and now_s - self._sent_s["hello"] >= greet_s:
            self._greet(now_s)
        if self._offer and now_s - self._sent_s["offer"] >= RESEND_S:
            self._send("offer", self._offer, now_s)
            self.stuck = now_s - self._offered_s >= PATIENCE_S
        if self._sealing and self._sealing.durable and now_s - self._sent_s["seal"] >= RESEND_S:
            self._send("seal", self._sealing.message, now_s)

    @property
    def _goal(self) -> int:
        return self._block_bytes + TAG_KEY_BYTES

    def _agreed_bytes(self) -> int:
        return sum(len(material) for material in self._agreed.values())

    def _next_block(self) -> list[bytes]:
        size, names = 0, []
        for name, material in self._agreed.items():
            size += len(material)
            names.append(name)
            if size >= self._goal or (len(names) == MAX_NAMES and size >= TAG_KEY_BYTES + MIN_BLOCK_BYTES):
                return names
        return []

    def _greet(self, now_s: float) -> None:
        if self._hello is not None:
            self._hello = Hello(self._run, self._kind, self.last, self._hello.greeting)
            self._send("hello", self._hello, now_s)

    def _send(self, what: str, message: Message, now_s: float) -> None:
        self._sent_s[what] = now_s
        self._effects.send(message)

    def _welcome(self, message: Welcome) -> None:
        self.unlike = None if message.kind == self._kind else f"the far end has kind '{_shown(message.kind)}'"
        if self.unlike:
            return
        self.last = max(self.last, message.last)
        if message.follower != self._follower:
            self._drop_all()
            self._follower = message.follower

    def _held(self, message: Held) -> None:
        offer = self._offer
        if offer is None or message.round != offer.round:
            return
        if message.indexes and message.indexes[-1] >= len(offer.names):
            raise PeerError("a piece was held that was not offered")
        held = set(message.indexes)
        self._offer, pieces, self._offered = None, self._offered, {}
        self._agreed |= {name: pieces[name] for index, name in enumerate(offer.names) if index in held}
        self.answers_without_pieces = 0 if held else self.answers_without_pieces + 1
        self._lose(compress(offer.names, (index not in held for index in range(len(offer.names)))))

    def _answered(self, message: Sealed | Refused) -> None:
        sealing = self._sealing
        if sealing is None or not sealing.durable or sealing.message.sequence != message.sequence:
            return
        self._sealing = None
        if isinstance(message, Sealed):
            self._effects.block(message.sequence, sealing.material)
            return
        self._lose(sealing.message.names)
        if message.differ:
            self._effects.trouble("the devices gave different bytes under the same names; the block is dropped")

    def _drop_all(self) -> None:
        names = [*self._offered, *(name for name in self._agreed if name not in self._picked)]
        self._offer, self._offered, self._agreed = None, {}, {}
        self._picked, self._sealing = [], None
        self._lose(names)

    def _lose(self, names: Iterable[bytes]) -> None:
        gone = list(names)
        if gone:
            self._effects.lost(gone)


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isalnum())[:16]
