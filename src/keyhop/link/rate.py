"""A paced source without physics: both ends derive the same blocks from one secret that a lab gave to both.

Block `n` of a link is the AES-256-CTR key stream from counter block `n || 0` (8 bytes each), under a key derived
by HKDF-SHA-256 from the secret, the link's ID, its rate and its block size; two ends that are configured
differently therefore share nothing, rather than something by accident.

Whoever has the secret has every key that the link ever made or will make: that is why it stays in labs.
"""

import asyncio
import hashlib
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from keyhop.core.errors import ConfigurationError, LinkError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.core.watched import watched
from keyhop.link.adapter import MAX_QBER, Disturbance, LinkBlock, LinkEnd, LinkState, LinkStatus
from keyhop.link.meter import Meter
from keyhop.link.pacing import Pacer

SECRET_BYTES = 32
QBER_SPREAD = 0.002
"""Blocks report a QBER up to this far from the configured one."""

_MAX_FILE_BYTES = 1024
_MAX_SLEEP_S = 1.0
_MIN_SLEEP_S = 0.001
_STEPPED_BACK_S = 2.0


@dataclass(frozen=True, slots=True)
class RateOptions:
    """A source without physics, for labs: paced blocks derived from a secret that both ends hold."""

    secret_file: Annotated[
        Path, Meta(description="The secret of both ends: 32 bytes in hex, readable by the owner only.")
    ]
    rate_bps: Annotated[
        float, Meta(gt=0, le=1_000_000_000, description="Secret bits per second; the same at both ends.")
    ] = 726_000.0
    qber: Annotated[float, Meta(ge=0, le=0.5, description="The quantum bit error rate to report, a fraction.")] = 0.0322
    block_bytes: Annotated[
        int,
        Meta(ge=256, le=1 << 20, multiple_of=8, description="Bytes per block, in steps of 8; the same at both ends."),
    ] = 8192
    force: Annotated[bool, Meta(description="Run it outside a lab all the same.")] = False


class RateSource:
    """The blocks of one link, by sequence."""

    def __init__(self, link: LinkId, options: RateOptions, secret: KeyMaterial) -> None:
        self._context = f"keyhop rate link v1|{float(options.rate_bps)}|{options.block_bytes}|{link}".encode()
        self._qber = options.qber
        self._zeros = bytes(options.block_bytes)
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=self._context)
        self._cipher = algorithms.AES256(derivation.derive(secret.reveal()))

    def material(self, sequence: int) -> KeyMaterial:
        """The bytes of a block."""
        counter = modes.CTR(sequence.to_bytes(8) + bytes(8))
        return KeyMaterial(Cipher(self._cipher, counter).encryptor().update(self._zeros))

    def qber(self, sequence: int) -> float:
        """The QBER that both ends report of a block, a fraction; made of nothing secret."""
        digest = hashlib.sha256(self._context + sequence.to_bytes(8)).digest()
        offset = 2 * int.from_bytes(digest[:8]) / (1 << 64) - 1
        return min(1.0, max(0.0, self._qber + offset * min(QBER_SPREAD, self._qber)))


class RateAdapter:
    """One end of a rate link. Raises ConfigurationError outside a lab, and for a secret that cannot be used."""

    kind = "rate"
    physics = False

    def __init__(self, options: RateOptions, end: LinkEnd) -> None:
        if not end.lab and not options.force:
            raise ConfigurationError(
                f"link {end.link}: kind 'rate' has no physics and is for labs only",
                hint="configure a real kind of link; or set lab = true in [node], or force = true for this link",
            )
        self._source = RateSource(end.link, options, read_secret(options.secret_file))
        self._pacer = Pacer(options.block_bytes * 8 / options.rate_bps, after=end.after)
        self._clock, self._machine = end.clock, end.machine
        self._sleep = end.sleep
        self._task: asyncio.Task[None] | None = None
        self._state: LinkState = "off"
        self._reason: str | None = None
        self._disturbance = Disturbance()
        self._blocks = 0
        self._meter = Meter(end.clock.monotonic())

    async def start(self, deliver: Callable[[LinkBlock], None]) -> None:
        """Begins to emit the blocks that are due from now on. Raises LinkError when already started."""
        if self._task is not None:
            raise LinkError("the link is already started")
        self._pacer.start(self._machine.wall())
        self._meter = Meter(self._clock.monotonic())
        self._state, self._reason = "generating", None
        self._task = watched(self._run(deliver), self._failed)

    async def stop(self) -> None:
        """Ends the emission; nothing is delivered afterwards."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._state, self._reason = "off", None
        self._meter = Meter(self._clock.monotonic())

    @property
    def disturbance(self) -> Disturbance:
        """What the line suffers now."""
        return self._disturbance

    def disturb(self, disturbance: Disturbance) -> None:
        """The line is cut, or whole again. Raises LinkError for what needs physics."""
        if disturbance != Disturbance(cut=disturbance.cut):
            raise LinkError("a link of kind 'rate' has no physics: its line can be cut, and nothing else")
        self._disturbance = disturbance

    def status(self) -> LinkStatus:
        """The link as this end sees it now."""
        state, reason, now = self._state, self._reason, self._clock.monotonic()
        if state == "generating" and self._disturbance.cut:
            state, reason = "stopped", "the line is cut"
        waiting_s = self._pacer.wait_s(self._machine.wall())
        if state == "generating" and waiting_s > self._pacer.interval_s + _STEPPED_BACK_S:
            # When, rather than in how long: whatever changes here is a line in the activity log.
            due = datetime.fromtimestamp(math.ceil(round(self._machine.wall() + waiting_s, 3)), UTC)
            state, reason = "stopped", f"the wall clock stepped back; next block at {due:%Y-%m-%d %H:%M:%S} UTC"
        return LinkStatus(state, reason, self._meter.sbr_bps(now), self._meter.qber(now), self._blocks)

    async def _run(self, deliver: Callable[[LinkBlock], None]) -> None:
        while self._state == "generating":
            due = self._pacer.due(self._machine.wall())
            for sequence in () if self._disturbance.cut else due:
                qber = self._source.qber(sequence)
                if qber > MAX_QBER:
                    self._state = "stopped"
                    self._reason = f"QBER {qber:.2%} is over the limit of {MAX_QBER:.0%}"
                    return
                self._deliver(sequence, qber, deliver)
            wait_s = self._pacer.wait_s(self._machine.wall())
            # Not longer, to see a clock that steps; not shorter, because a rounding error must not spin.
            await self._sleep(min(_MAX_SLEEP_S, max(_MIN_SLEEP_S, wait_s)))

    def _deliver(self, sequence: int, qber: float, deliver: Callable[[LinkBlock], None]) -> None:
        material = self._source.material(sequence)
        self._blocks += 1
        self._meter.add(self._clock.monotonic(), len(material), qber)
        age_s = self._machine.wall() - self._pacer.produced_at(sequence)
        deliver(LinkBlock(sequence, material, qber, self._clock.wall() - age_s, self.kind))

    def _failed(self, failure: Exception) -> None:
        self._state, self._reason = "stopped", f"a block could not be delivered ({type(failure).__name__})"
        asyncio.get_running_loop().call_exception_handler({"message": "a rate link failed", "exception": failure})


def read_secret(path: Path, option: str = "secret_file") -> KeyMaterial:
    """The secret of a link, from the file that `option` names.

    ConfigurationError when the file is missing, malformed or open to others.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_FILE_BYTES)
    except OSError as failure:
        raise ConfigurationError(
            f"cannot read the {option} {path}: {failure.strerror}",
            hint="put the same 32 random bytes in hex there at both ends, for instance from: openssl rand -hex 32",
        ) from None
    if mode & 0o077:
        raise ConfigurationError(
            f"the {option} {path} can be read by others (mode {mode:04o})", hint=f"chmod 600 {path}"
        )
    try:
        secret = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:  # the content must not be shown
        raise ConfigurationError(
            f"the {option} {path} does not hold {SECRET_BYTES} bytes in hex", hint="openssl rand -hex 32 makes them"
        )
    return KeyMaterial(secret)
