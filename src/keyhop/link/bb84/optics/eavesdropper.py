"""Eve at work: what reaches the detectors of a pulse that she attacks.

She does what physics allows, and more than today's technology does: her measurements lose nothing, she counts
photons without disturbing them, and the line from her to the receiver has no loss. She does not know the intensity
of a pulse. Within that she keeps the receiver's rate of clicks as it was, as far as she can.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyhop.link.adapter import Eavesdropper
from keyhop.link.bb84.optics.detectors import Darkness, coherent_darkness, outcome, photon_darkness

MOST_PHOTONS = 40
"""A pulse of the brightest source that can be configured has more with a chance below 1e-35."""


@dataclass(frozen=True, slots=True)
class Sight:
    """All that the chances of a click depend on, at one time: intensities as configured, chances per gate.

    `receiver` is the share of photons at the receiver that are detected, `line` the share that get there.
    """

    intensities: tuple[float, ...]
    probabilities: tuple[float, ...]
    line: float
    receiver: float
    error: float
    noise: float
    receiver_z: float


@dataclass(frozen=True, slots=True)
class Attack:
    """What becomes of an attacked pulse: chances as `untouched` has them, the share of pulses that Eve measures in Z
    (None: she measures nothing), and whether clicks leave afterpulses."""

    outcomes: NDArray[np.float64]
    measured_in_z: float | None = None
    afterpulses: bool = True


def untouched(sight: Sight) -> NDArray[np.float64]:
    """Chances of (right alone, wrong alone, both) by intensity and by whether the bases are equal (0 or 1)."""
    detected = sight.line * sight.receiver
    return np.array(
        [
            [outcome(coherent_darkness(mean * detected, error), sight.noise) for error in (0.5, sight.error)]
            for mean in sight.intensities
        ]
    )


def attack(eavesdropper: Eavesdropper, sight: Sight) -> Attack:
    """How this eavesdropper changes what the detectors see."""
    if eavesdropper.attack == "photon-number-splitting":
        return Attack(_split(sight))
    in_z = {"random": 0.5, "Z": 1.0, "X": 0.0}[eavesdropper.basis]
    if eavesdropper.attack == "blinding":
        # A blinded detector counts no single photons: it has neither noise nor afterpulses.
        return Attack(_blinded(sight, in_z), measured_in_z=in_z, afterpulses=False)
    # What she sends is as bright as what she took, so that counts alone do not give her away.
    return Attack(untouched(sight), measured_in_z=in_z)


def _split(sight: Sight) -> NDArray[np.float64]:
    """Lütkenhaus, Phys. Rev. A 61, 052304 (2000): single photons stop, one photon of every other pulse is kept.

    Where the multi-photon pulses alone would give too many clicks some of them stop too; where they give too few,
    some single photons pass.
    """
    aim = _mean(untouched(sight), sight)
    nothing, singles, others = (_arriving(sight, *forwarded) for forwarded in ((0, 0), (1, 0), (0, 1)))
    floor = _mean(nothing, sight)
    by_others, by_singles = _mean(others, sight) - floor, _mean(singles, sight) - floor
    share_of_others = min(1.0, (aim - floor) / by_others) if by_others > 0 else 0.0
    missing = aim - floor - share_of_others * by_others
    share_of_singles = min(1.0, max(0.0, missing / by_singles)) if by_singles > 0 else 0.0
    return _arriving(sight, share_of_singles, share_of_others)


def _arriving(sight: Sight, share_of_singles: float, share_of_others: float) -> NDArray[np.float64]:
    """Outcomes when these shares of pulses with one photon, and with more, are sent on; of the latter one is kept."""
    rows = []
    for mean in sight.intensities:
        chances = [math.exp(-mean) * mean**photons / math.factorial(photons) for photons in range(MOST_PHOTONS)]
        sent = [0.0, chances[1] * share_of_singles + chances[2] * share_of_others]
        sent += [chance * share_of_others for chance in chances[3:]]
        sent[0] = 1 - sum(sent)
        rows.append([outcome(_mixed(sent, sight.receiver, error), sight.noise) for error in (0.5, sight.error)])
    return np.array(rows)


def _mixed(chances: list[float], efficiency: float, error: float) -> Darkness:
    """Darkness when the number of photons that arrive has these chances."""
    each = np.array([photon_darkness(photons, efficiency, error) for photons in range(len(chances))])
    right, wrong, both = np.array(chances) @ each
    return Darkness(float(right), float(wrong), float(both))


def _blinded(sight: Sight, in_z: float) -> NDArray[np.float64]:
    """Lydersen et al., Nature Photonics 4, 686 (2010): detectors click if the receiver's basis is Eve's, else never.

    She sends on only so many of the pulses in which she found light that the rate is kept.
    """
    found = [-math.expm1(-mean) for mean in sight.intensities]
    same_basis = in_z * sight.receiver_z + (1 - in_z) * (1 - sight.receiver_z)
    most = same_basis * sum(p * chance for p, chance in zip(sight.probabilities, found, strict=True))
    share = min(1.0, _mean(untouched(sight), sight) / most)
    outcomes = np.zeros((len(found), 2, 3))
    for intensity, chance in enumerate(found):
        outcomes[intensity, 1, :2] = share * chance * (1 - sight.error), share * chance * sight.error
    return outcomes


def _mean(outcomes: NDArray[np.float64], sight: Sight) -> float:
    """Clicks per pulse; they do not depend on the bases."""
    return float(np.array(sight.probabilities) @ outcomes[:, 1].sum(axis=1))
