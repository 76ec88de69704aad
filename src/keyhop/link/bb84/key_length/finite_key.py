"""How many secret bits a round yields, given what was counted in it: the finite-key length.

    ℓ = ⌊ s_0 + s_1 (1 − h(φ)) − 6 log2(K/ε_sec) − log2(2/ε_cor) ⌋ − disclosed bits
    φ = v_X,1 / s_X,1 + γ

s_0 and s_1 are the Z bits that came from no photon and from one, v_X,1 and s_X,1 the wrong and all X bits that came
from one photon: bounds by `one_decoy` (two intensities) or `two_decoy` (three). φ bounds the phase errors, and so what
an eavesdropper knows. Sources: Lim et al. 2014, equation 1; Rusca et al. 2018; see docs/reference/bb84.md.

s_0 counts only if nobody learns which bits were wrong. An eavesdropper may put light of her own into an empty slot:
she then knows the receiver's bit, and the error pattern that Cascade publishes tells her the transmitter's.
"""

import math
from dataclasses import dataclass

from keyhop.link.bb84.key_length import one_decoy, two_decoy
from keyhop.link.bb84.key_length.decoy_statistics import DecoyEstimate, Light, binary_entropy, sampling_deviation


@dataclass(frozen=True, slots=True)
class Counts:
    """Sifted events of one round per intensity: detections n and errors m, in the key basis Z and the test basis X.

    Raises ValueError unless there are two or three intensities and 0 <= errors <= detections for each.
    """

    n_z: tuple[int, ...]
    m_z: tuple[int, ...]
    n_x: tuple[int, ...]
    m_x: tuple[int, ...]

    def __post_init__(self) -> None:
        if len({len(self.n_z), len(self.m_z), len(self.n_x), len(self.m_x)}) != 1 or len(self.n_z) not in (2, 3):
            raise ValueError("a round is counted for two or three intensities, the same in all counts")
        for detections, errors in zip(self.n_z + self.n_x, self.m_z + self.m_x, strict=True):
            if not 0 <= errors <= detections:
                raise ValueError(f"{errors} errors among {detections} detections")

    @property
    def qber_z(self) -> float:
        """Error rate of the key basis, a fraction; 0 without detections."""
        return sum(self.m_z) / max(1, sum(self.n_z))

    @property
    def qber_x(self) -> float:
        """Error rate of the test basis, a fraction; 0 without detections."""
        return sum(self.m_x) / max(1, sum(self.n_x))


@dataclass(frozen=True, slots=True)
class Security:
    """How often a round may go wrong: leak something (secrecy), or differ between the ends unseen (correctness)."""

    epsilon_secrecy: float = 1e-10
    epsilon_correctness: float = 1e-15

    def __post_init__(self) -> None:
        if not 0 < self.epsilon_secrecy < 1 or not 0 < self.epsilon_correctness < 1:
            raise ValueError("an epsilon lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class KeyLength:
    """What a round yields, and why. `reason` is for the operator and set exactly when there are no bits."""

    bits: int
    vacuum_bits: float
    """s_0"""
    single_photon_bits: float
    """s_1"""
    phase_error: float
    """φ, a fraction; 0.5 where nothing is known"""
    reason: str | None = None


def key_length(
    counts: Counts,
    intensities: tuple[float, ...],
    probabilities: tuple[float, ...],
    disclosed_bits: int,
    security: Security,
    *,
    errors_public: bool = True,
) -> KeyLength:
    """The bits to keep by privacy amplification: never negative, never more than there are Z bits.

    `disclosed_bits` is everything that was said in public about the transmitter's key: its parities or syndromes,
    digests, whole frames. `errors_public` says whether the receiver's errors became known too: then s_0 is left out.
    Raises ValueError if the arguments contradict each other.
    """
    light = Light(intensities, probabilities)
    if len(intensities) != len(counts.n_z):
        raise ValueError(f"{len(counts.n_z)} intensities were counted, {len(intensities)} sent")
    if disclosed_bits < 0:
        raise ValueError("a negative number of disclosed bits")
    failures = one_decoy.FAILURES if len(intensities) == 2 else two_decoy.FAILURES
    failure = security.epsilon_secrecy / failures
    found = _estimate(counts, light, failure)
    vacuum = min(found.vacuum_z, float(sum(counts.n_z)))
    single = min(found.single_photons_z, sum(counts.n_z) - vacuum)
    phase_error = _phase_error(found, single, failure)
    reason = _nothing_to_keep(counts, found, single, phase_error)
    if reason is not None:
        return KeyLength(0, vacuum, single, phase_error, reason)
    unseen = 0.0 if errors_public else vacuum
    smoothing = 6 * math.log2(1 / failure) + math.log2(2 / security.epsilon_correctness)
    # The two are subtracted apart so that each disclosed bit costs exactly one, whatever floats round to.
    bits = math.floor(unseen + single * (1 - binary_entropy(phase_error)) - smoothing) - disclosed_bits
    if bits <= 0:
        reason = (
            f"error correction disclosed {disclosed_bits} bits, and only {max(0, bits + disclosed_bits)} were secret "
            f"(QBER {counts.qber_z:.2%}, phase error up to {phase_error:.2%})"
        )
    return KeyLength(max(0, bits), vacuum, single, phase_error, reason)


def _estimate(counts: Counts, light: Light, failure: float) -> DecoyEstimate:
    if len(light.intensities) == 2:
        return one_decoy.estimate(light, counts.n_z, counts.m_z, counts.n_x, counts.m_x, failure)
    return two_decoy.estimate(light, counts.n_z, counts.n_x, counts.m_x, failure)


def _phase_error(found: DecoyEstimate, single: float, failure: float) -> float:
    """φ from above: the single photons' error rate in X, and how far it may be from the one that Z would have shown."""
    sample = found.single_photons_x
    if single <= 0 or sample <= 0:
        return 0.5
    rate = found.single_photon_errors_x / sample
    if rate >= 0.5:
        return 0.5
    return min(0.5, rate + sampling_deviation(rate, sample, single, failure))


def _nothing_to_keep(counts: Counts, found: DecoyEstimate, single: float, phase_error: float) -> str | None:
    """Why no key comes of it, whatever was disclosed."""
    if sum(counts.n_z) == 0:
        return "nothing was detected in the key basis"
    if single <= 0:
        return "no key bit can be shown to come from a single photon: too few detections, too many errors or an attack"
    if found.single_photons_x <= 0:
        return "no bit in X can be shown to come from a single photon: too few detections or too many errors there"
    if phase_error >= 0.5:
        return f"the phase error cannot be bounded below 50 % (QBER in X {counts.qber_x:.2%})"
    return None
