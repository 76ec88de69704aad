"""What both ends of a round compute alike: the error rate to start from, the length of the key, what is too much."""

from dataclasses import dataclass, field

import numpy as np

from keyhop.core.errors import PeerError
from keyhop.link.bb84.amplification.toeplitz import toeplitz_hash
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES
from keyhop.link.bb84.authentication.tag_keys import MAX_NAMES_PER_ROUND
from keyhop.link.bb84.key_length.count_statistics import Configured, Observed, findings
from keyhop.link.bb84.key_length.decoy_statistics import Light, binary_entropy
from keyhop.link.bb84.key_length.finite_key import Counts, KeyLength, Security, key_length
from keyhop.link.bb84.optics.detectors import live_step_slots
from keyhop.link.bb84.reconciliation import Bits, Reconciliation
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.bb84.sifting.rounds import ByBasis, SiftedRound

MAX_ATTEMPTS = 2
"""Digests of a round that may differ before it is discarded."""

LEAST_QBER = 0.002
MOST_QBER = 0.2
"""Error correction is prepared for error rates between."""


type Figures = dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A round that is over: `key` is empty when it yields nothing, and `reason` says why; `alarm`, that it is an
    operator's business. `qber` is the error rate of Z, None when it is not known."""

    number: int
    key: bytes = field(default=b"", repr=False)
    pool_bytes: int = 0
    first_sequence: int = 0
    qber: float | None = None
    reason: str | None = None
    alarm: bool = False
    figures: Figures = field(default_factory=dict)


def starting_qber(sifted: SiftedRound, known: float | None) -> float:
    """What error correction expects: what Z had in the round before, or what X has in this one."""
    qber = known if known is not None else sum(sifted.m_x) / max(1, sum(sifted.n_x))
    return min(MOST_QBER, max(LEAST_QBER, qber))


def counts(sifted: SiftedRound, m_z: tuple[int, ...]) -> Counts:
    """The round's events. PeerError when the far end counted more errors than events."""
    if len(m_z) != len(sifted.n_z) or any(wrong > all_ for wrong, all_ in zip(m_z, sifted.n_z, strict=True)):
        raise PeerError("the far end counts more wrong bits than there are")
    return Counts(n_z=sifted.n_z, m_z=m_z, n_x=sifted.n_x, m_x=sifted.m_x)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many bits a round yields, whole bytes; or none and why. `alarm`: its counts are those of no sound line."""

    key_bits: int
    length: KeyLength
    reason: str | None
    alarm: bool


def judge(
    sifted: SiftedRound, counted: Counts, doubles: tuple[int, int, int, int], disclosed_bits: int, options: Bb84Options
) -> Verdict:
    """The same at both ends. `doubles` are by basis and match, as in `Counted`. PeerError for impossible counts."""
    length = key_length(
        counted,
        options.source.intensities,
        options.source.probabilities,
        disclosed_bits,
        Security(options.epsilon_secrecy, options.epsilon_correctness),
    )
    wrong = _suspicions(sifted, counted, doubles, options)
    if counted.qber_z > options.max_qber:
        wrong = f"QBER {counted.qber_z:.2%} is over the limit of {options.max_qber:.1%}"
    key_bits = 0 if wrong else length.bits // 8 * 8
    reason = wrong or length.reason or (None if key_bits else "the round yields less than a byte")
    return Verdict(key_bits, length, reason, wrong is not None)


def _suspicions(
    sifted: SiftedRound, counted: Counts, doubles: tuple[int, int, int, int], options: Bb84Options
) -> str | None:
    """What in a round no undisturbed line would show, if anything. PeerError for impossible counts."""
    seen = sifted.detections
    possible = (seen.z_matching, seen.z_other, seen.x_matching, seen.x_other)
    if any(both > all_ for both, all_ in zip(doubles, possible, strict=True)):
        raise PeerError("the far end counts more double clicks than there are detections")
    z_matching, z_other, x_matching, x_other = doubles
    observed = Observed(
        detections=seen,
        doubles=ByBasis(z_matching=z_matching, z_other=z_other, x_matching=x_matching, x_other=x_other),
        n_z=counted.n_z,
        n_x=counted.n_x,
        m_x=counted.m_x,
        gates=float(live_gates(sifted, options)),
    )
    return "; ".join(findings(observed, configured(options))) or None


def configured(options: Bb84Options) -> Configured:
    """What both ends know beforehand of an honest line."""
    source = options.source
    return Configured(
        light=Light(source.intensities, source.probabilities),
        z_probability_transmitter=source.z_probability,
        z_probability_receiver=options.detectors.z_probability,
        max_qber=options.max_qber,
    )


def live_gates(sifted: SiftedRound, options: Bb84Options) -> int:
    """Slots of the round less those in which the detectors were dead. With a dead time that is set too long there may
    seem to be less than none; that finds nothing."""
    seen = sifted.detections
    detections = seen.z_matching + seen.z_other + seen.x_matching + seen.x_other
    dead_slots = live_step_slots(options.detectors, options.source) - 1
    return sifted.end_slot - sifted.first_slot - (detections - 1) * dead_slots


def usable_pool_bytes(wanted: int, key_bits: int) -> int:
    """How many bytes of the key become authentication keys: whole ones, as many as wanted and there."""
    return min(wanted, MAX_NAMES_PER_ROUND * ENTRY_BYTES, key_bits // 8) // ENTRY_BYTES * ENTRY_BYTES


def amplified(bits: Bits, seed: bytes, key_bits: int) -> bytes:
    """The key: whole bytes only."""
    packed = np.packbits(bits, bitorder="little")
    return toeplitz_hash(packed, len(bits), seed, key_bits)[: key_bits // 8]


def figures(reconciliation: Reconciliation, counted: Counts, disclosed_bits: int, verdict: Verdict) -> Figures:
    """What an operator sees of the round; rounded, they are for people."""
    shannon = sum(counted.n_z) * binary_entropy(counted.qber_z)
    return {
        "error_correction_efficiency": round(reconciliation.disclosed_bits / shannon, 4) if shannon else 0.0,
        "disclosed_bits": disclosed_bits,
        "phase_error": round(verdict.length.phase_error, 5),
        "single_photon_fraction": round(verdict.length.single_photon_bits / max(1, sum(counted.n_z)), 4),
        "qber_z": round(counted.qber_z, 5),
        "qber_x": round(counted.qber_x, 5),
        "secret_fraction": round(verdict.length.bits / max(1, sum(counted.n_z)), 4),
    }
