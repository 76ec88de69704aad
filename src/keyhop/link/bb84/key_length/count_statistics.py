"""What the counts of a round say about attacks that errors do not show.

Finite-key bounds assume detectors that treat every photon alike. An eavesdropper who controls the detectors breaks
that, and leaves no errors. She leaves other traces, which are looked for here:

- Light of the observed brightness makes both detectors click now and then. Blinded detectors (Lydersen et al., Nature
  Photonics 4, 686, 2010) never do, unless she takes care of that too.
- Detections are spread over the bases as the two ends chose them.
- A brighter pulse gives more clicks, but at most in proportion (photon-number splitting gives more), and clicks that
  come without any light from the transmitter are wrong half of the time.

A round of an honest line passes except with a probability below 1e-9: each of the at most eight comparisons below fails
with less than 1e-10 (Chernoff's bound). Dead time, loss that drifts or is high, dark counts, afterpulses and
background do not count against a line: where they change what is expected, they change it to the harmless side.
Passing proves nothing: detectors can also be controlled so that double clicks and gains look right.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from keyhop.link.bb84.key_length.decoy_statistics import Light, hoeffding_deviation
from keyhop.link.bb84.sifting.rounds import ByBasis

FAILURE = 1e-10
"""How often one comparison goes wrong by chance."""

UNEQUAL_DETECTORS = 0.97
"""Two detectors whose efficiencies differ by 17 % to either side of their mean still show this share of the doubles."""

UNEQUAL_BASES = 0.1
"""How much of the rarer basis's share of detections may be due to receivers and modulators that are not ideal."""

INTENSITY_TOLERANCE = 0.02
"""How far the ratio of two intensities, or of their shares, may be off."""

LEAST_TEST_EVENTS = 1000
"""Below that an error rate in X over the limit may be chance; such a round gives no key anyway."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One round: detections and double clicks by basis, sifted counts per intensity, and the gates that were open.

    `gates`: slots of the round less those in which the detectors were dead. Too large a number makes the check of
    double clicks weaker, never wrong.
    """

    detections: ByBasis
    doubles: ByBasis
    n_z: tuple[int, ...]
    n_x: tuple[int, ...]
    m_x: tuple[int, ...]
    gates: float


@dataclass(frozen=True, slots=True)
class Configured:
    """What both ends know beforehand; `max_qber` is a fraction."""

    light: Light
    z_probability_transmitter: float
    z_probability_receiver: float
    max_qber: float


def findings(observed: Observed, configured: Configured) -> list[str]:
    """What is wrong with a round, a sentence each; empty when nothing is."""
    return [
        *_error_rate(observed, configured),
        *_double_clicks(observed, configured),
        *finding_of_bases(observed.detections, configured),
        *_gains(observed, configured),
        *_vacuum(observed, configured),
    ]


def _error_rate(observed: Observed, configured: Configured) -> Iterator[str]:
    events, errors = sum(observed.n_x), sum(observed.m_x)
    if events >= LEAST_TEST_EVENTS and errors > configured.max_qber * events:
        yield f"the error rate in X is {errors / events:.1%}, over the limit of {configured.max_qber:.1%}"


def _double_clicks(observed: Observed, configured: Configured) -> Iterator[str]:
    """Where the bases differ light goes to each detector with one half, whatever the interferometer's contrast.

    A gate in which either clicks with q has both clicking with (1 - √(1-q))². That rises faster than q, so loss that
    drifts, and noise, only add to it; q per intensity is as observed, so noise needs no knowledge of its own.
    """
    detections = observed.detections
    different = detections.z_other + detections.x_other
    seen = observed.doubles.z_other + observed.doubles.x_other
    every = different + detections.z_matching + detections.x_matching
    sifted = [z + x for z, x in zip(observed.n_z, observed.n_x, strict=True)]
    if every == 0 or sum(sifted) == 0 or observed.gates <= every:
        return
    click = every / observed.gates
    both = 0.0
    for events, p in zip(sifted, configured.light.probabilities, strict=True):
        either = min(1.0, click * events / sum(sifted) / p)
        both += p * (1 - math.sqrt(1 - either)) ** 2
    expected = UNEQUAL_DETECTORS * different * both / click
    if _too_few(seen, expected):
        yield (
            f"both detectors clicked at once {seen} times, where light gives {expected:.0f}: "
            "they may be blinded, or photons may be taken out of pulses"
        )


def finding_of_bases(detections: ByBasis, configured: Configured) -> Iterator[str]:
    """What is wrong with the bases in which there are detections, if anything."""
    in_z = detections.z_matching + detections.z_other
    in_x = detections.x_matching + detections.x_other
    transmitter, receiver = configured.z_probability_transmitter, configured.z_probability_receiver
    if _unlike(in_z, in_z + in_x, receiver):
        yield f"{in_z / (in_z + in_x):.1%} of the detections are in Z, where the receiver chooses it in {receiver:.1%}"
    for matching, total, share, name in (
        (detections.z_matching, in_z, transmitter, "Z"),
        (detections.x_matching, in_x, 1 - transmitter, "X"),
    ):
        if _unlike(matching, total, share):
            yield (
                f"of the detections in {name} {matching / total:.1%} were sent in {name}, "
                f"where the transmitter chooses it in {share:.1%}"
            )


def _gains(observed: Observed, configured: Configured) -> Iterator[str]:
    """Clicks rise with the intensity at most in proportion: each pair of neighbours is compared."""
    light = configured.light
    sifted = [z + x for z, x in zip(observed.n_z, observed.n_x, strict=True)]
    for k in range(len(sifted) - 1):
        bright, faint = (light.intensities[i] * light.probabilities[i] for i in (k, k + 1))
        most = (1 + INTENSITY_TOLERANCE) * bright / ((1 + INTENSITY_TOLERANCE) * bright + faint)
        events = sifted[k] + sifted[k + 1]
        if events and sifted[k] > most * events and _surprise(sifted[k], events, most) > -math.log(FAILURE):
            yield (
                f"pulses of {light.intensities[k]:g} photons are detected more often, against those of "
                f"{light.intensities[k + 1]:g}, than in proportion: photon numbers may be split"
            )


def _vacuum(observed: Observed, configured: Configured) -> Iterator[str]:
    """Clicks that do not depend on the intensity were not made by light, so half of them are wrong.

    Clicks without photons are bounded as in `one_decoy`: from below by the two faintest intensities, from above by
    errors.
    """
    light, events = configured.light, sum(observed.n_x)
    last = len(light.intensities) - 1
    bright, faint = light.intensities[last - 1], light.intensities[last]
    spread, wrong = hoeffding_deviation(events, FAILURE / 4), hoeffding_deviation(sum(observed.m_x), FAILURE / 4)
    least = bright * light.scaled(observed.n_x, -spread, last) - faint * light.scaled(observed.n_x, spread, last - 1)
    none = light.photon_number_probability(0)
    without_light = none * least / (bright - faint)
    if without_light > 2 * (none * light.scaled(observed.m_x, wrong, last) + spread):
        share = min(1.0, without_light / events)
        yield f"{share:.0%} of the detections do not depend on the light sent, and yet most of them are right"


def _too_few(seen: int, expected: float) -> bool:
    """Whether a Poissonian number of this mean is `seen` or less with a chance below FAILURE (Chernoff)."""
    if seen >= expected:
        return False
    return expected - seen + (seen * math.log(seen / expected) if seen else 0.0) > -math.log(FAILURE)


def _unlike(part: int, total: int, share: float) -> bool:
    """Whether `part` of `total` is further from `share` than tolerance and chance explain."""
    if total == 0:
        return False
    tolerated = UNEQUAL_BASES * min(share, 1 - share)
    nearest = min(max(part / total, share - tolerated), share + tolerated)
    return _surprise(part, total, nearest) > -math.log(FAILURE)


def _surprise(part: int, total: int, share: float) -> float:
    """Minus the logarithm of Chernoff's bound on the chance of `part` of `total` or what is further from `share`."""
    found = part / total
    inside = found * math.log(found / share) if found > 0 else 0.0
    outside = (1 - found) * math.log((1 - found) / (1 - share)) if found < 1 else 0.0
    return total * (inside + outside)
