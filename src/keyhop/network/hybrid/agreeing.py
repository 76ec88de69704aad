"""The state machine that agrees on secrets, at either end of the two streams of a pair."""

from collections.abc import Callable
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.keys import KeyMaterial
from keyhop.core.streams import OwnedStream
from keyhop.network.hybrid.kem import SEED_BYTES, Kem
from keyhop.network.hybrid.kept import KeptSecrets
from keyhop.network.hybrid.messages import (
    HybridAsked,
    HybridMessage,
    HybridNamed,
    HybridOffered,
    HybridSealed,
    HybridStored,
    OfHybrid,
)
from keyhop.network.hybrid.secret import CHECK_BYTES, Secret

RESEND_S = 1.0
RENEW_S = 3600.0


class _Proposal(NamedTuple):
    secret: Secret
    sealed: bytes


class Agreeing:
    """As owner it keeps `secret` fresh while it is `wanted`; as follower it answers, and keeps what it was told.

    `received` raises PeerError for what the protocol does not allow.
    """

    def __init__(
        self,
        owned: OwnedStream,
        kept: KeptSecrets,
        clock: Clock,
        entropy: Entropy,
        send: Callable[[HybridMessage], None],
        kem: Kem,
    ) -> None:
        self._owned = owned
        self.kept = kept
        self._clock = clock
        self._entropy = entropy
        self._send = send
        self._kem = kem
        self.wanted = False
        """Whether keys are to be made with secrets at all."""
        self._synchronised = False
        self._current: Secret | None = None
        self._in_doubt = False
        """Whether the follower may have been restored to a copy without `_current`: until it says that it has it."""
        self._renew_at = 0.0
        self._asked_at: float | None = None
        self._proposal: _Proposal | None = None
        self._own_seed: bytes | None = None
        """Of the key that was offered last."""

    @property
    def secret(self) -> Secret | None:
        """With what keys of the owned stream are made now; None while there is nothing for this epoch."""
        return None if self._in_doubt else self._of_this_epoch

    def synchronised(self) -> None:
        """A session begins."""
        self._synchronised = self._in_doubt = True
        self._go_on()

    def interrupted(self) -> None:
        """The session is over. What was not answered is said again in the next one."""
        self._synchronised = False
        self._asked_at = None

    def tick(self) -> None:
        """Time has passed."""
        self._go_on()

    def received(self, body: OfHybrid) -> None:
        """What the other end says."""
        match body:
            case HybridAsked():
                self._own_seed = self._entropy.token(SEED_BYTES)
                self._send(HybridOffered(self._kem.public_key(self._own_seed)))
            case HybridOffered(key):
                self._offered(key)
            case HybridSealed():
                self._sealed(body)
            case HybridNamed(epoch, check):
                self._say_whether_kept(epoch, check)
            case HybridStored(epoch, check):
                self._stored(epoch, check)

    def _go_on(self) -> None:
        """Asks for what is missing, and says again what was not answered."""
        if not self._synchronised or not self.wanted:
            return
        now = self._clock.monotonic()
        if self._proposal is not None and self._proposal.secret.epoch != self._owned.epoch:
            self._proposal = self._asked_at = None
        if self.secret is not None and now < self._renew_at:
            return
        if self._asked_at is None or now - self._asked_at >= RESEND_S:
            self._asked_at = now
            self._send(self._question())

    def _question(self) -> HybridMessage:
        proposal, current = self._proposal, self._of_this_epoch
        if proposal is not None:
            return HybridSealed(proposal.secret.epoch, proposal.sealed, proposal.secret.check)
        return HybridNamed(current.epoch, current.check) if current and self._in_doubt else HybridAsked()

    @property
    def _of_this_epoch(self) -> Secret | None:
        current = self._current
        return current if current is not None and current.epoch == self._owned.epoch else None

    def _offered(self, key: bytes) -> None:
        if self._asked_at is None or self._proposal is not None:
            return  # an answer that comes late
        try:
            shared, sealed = self._kem.encapsulate(key)
        except ValueError:
            raise PeerError("that is no ML-KEM-768 key") from None
        secret = Secret(self._owned.epoch, KeyMaterial(shared))
        self._proposal = _Proposal(secret, sealed)
        self._send(HybridSealed(secret.epoch, sealed, secret.check))

    def _sealed(self, body: HybridSealed) -> None:
        """Keeps no other secret than its owner's: what was sealed to an earlier key may come again after another was
        offered, and what that makes of it would take the place of the secret in use."""
        if self._own_seed is not None and self.kept.takes(body.epoch):
            secret = Secret(body.epoch, KeyMaterial(self._kem.decapsulate(self._own_seed, body.sealed)))
            if secret.check == body.check:
                self._own_seed = None  # its key is good for one secret
                self.kept.add(secret, self._clock.wall())
        self._say_whether_kept(body.epoch, body.check)

    def _say_whether_kept(self, epoch: int, check: bytes) -> None:
        held = any(secret.check == check for secret in self.kept.of(epoch))
        self._send(HybridStored(epoch, check if held else bytes(CHECK_BYTES)))

    def _stored(self, epoch: int, check: bytes) -> None:
        proposal = self._proposal
        if proposal is None:
            self._named(epoch, check)
            return
        if proposal.secret.epoch != epoch:
            return
        self._proposal = self._asked_at = None
        if proposal.secret.check == check:
            self._current, self._in_doubt = proposal.secret, False
            self._renew_at = self._clock.monotonic() + RENEW_S

    def _named(self, epoch: int, check: bytes) -> None:
        """Whether the secret that was agreed on in an earlier session is good in this one."""
        current = self._of_this_epoch
        if not self._in_doubt or current is None or current.epoch != epoch:
            return
        self._in_doubt, self._asked_at = False, None
        if current.check != check:
            self._current = None
            self._go_on()
