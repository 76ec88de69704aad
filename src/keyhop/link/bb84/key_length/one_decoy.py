"""Single photons bounded by one decoy: Rusca, Boaron, Grünenfelder, Martin and Zbinden, Applied Physics Letters 112,
171104 (2018), "Finite-key analysis for the 1-decoy state QKD protocol".

Without a third intensity the pulses that held no photon cannot be counted from above by their detections. Their
errors can: half of what came from no photon is wrong, whatever an eavesdropper does, because the transmitter's bit is
random and the pulse does not hold it.
"""

from keyhop.link.bb84.key_length.decoy_statistics import DecoyEstimate, Light, hoeffding_deviation

FAILURES = 19
"""K: so many bounds and smoothing terms share the secrecy epsilon; ten of the bounds are used here."""


def estimate(
    light: Light,
    detections_z: tuple[int, ...],
    errors_z: tuple[int, ...],
    detections_x: tuple[int, ...],
    errors_x: tuple[int, ...],
    failure: float,
) -> DecoyEstimate:
    """Bounds from the counts per intensity of both bases, each failing with probability `failure`."""
    vacuum, single_z = _at_least(light, detections_z, errors_z, failure)
    _, single_x = _at_least(light, detections_x, errors_x, failure)
    signal, decoy = light.intensities
    wrong = hoeffding_deviation(sum(errors_x), failure)
    errors = light.scaled(errors_x, wrong, 0) - light.scaled(errors_x, -wrong, 1)
    return DecoyEstimate(
        vacuum_z=vacuum,
        single_photons_z=single_z,
        single_photons_x=single_x,
        single_photon_errors_x=max(0.0, light.photon_number_probability(1) / (signal - decoy) * errors),
    )


def _at_least(
    light: Light, detections: tuple[int, ...], errors: tuple[int, ...], failure: float
) -> tuple[float, float]:
    """s_0 and s_1 of one basis, from below."""
    signal, decoy = light.intensities
    none, one = light.photon_number_probability(0), light.photon_number_probability(1)
    spread = hoeffding_deviation(sum(detections), failure)
    of_signal, of_decoy = light.scaled(detections, spread, 0), light.scaled(detections, -spread, 1)
    vacuum = none / (signal - decoy) * (signal * of_decoy - decoy * of_signal)
    most_vacuum = _vacuum_at_most(light, detections, errors, failure)
    single = of_decoy - decoy**2 / signal**2 * of_signal - (1 - decoy**2 / signal**2) * most_vacuum / none
    return max(0.0, vacuum), max(0.0, one * signal / (decoy * (signal - decoy)) * single)


def _vacuum_at_most(light: Light, detections: tuple[int, ...], errors: tuple[int, ...], failure: float) -> float:
    """s_0 from above, by its errors: 2 (τ_0 m⁺_k + δ(n)).

    It holds for either intensity k. The decoy's is the lower one but in the smallest rounds; taking the lower of both
    would be one bound more than K counts.
    """
    wrong = light.scaled(errors, hoeffding_deviation(sum(errors), failure), 1)
    total = sum(detections)
    return min(total, 2 * (light.photon_number_probability(0) * wrong + hoeffding_deviation(total, failure)))
