"""Single photons bounded by two decoys: Lim, Curty, Walenta, Xu and Zbinden, Physical Review A 89, 022307 (2014),
"Concise security bounds for practical decoy-state quantum key distribution", equations 2 to 4."""

from keyhop.link.bb84.key_length.decoy_statistics import DecoyEstimate, Light, hoeffding_deviation

FAILURES = 21
"""K: so many bounds and smoothing terms share the secrecy epsilon; twelve of the bounds are used here."""


def estimate(
    light: Light,
    detections_z: tuple[int, ...],
    detections_x: tuple[int, ...],
    errors_x: tuple[int, ...],
    failure: float,
) -> DecoyEstimate:
    """Bounds from the counts per intensity of both bases, each failing with probability `failure`.

    Raises ValueError if the signal is not brighter than both decoys together.
    """
    signal, decoy, weakest = light.intensities
    if signal <= decoy + weakest:
        raise ValueError("the signal must be brighter than both decoys together")
    vacuum, single_z = _at_least(light, detections_z, failure)
    _, single_x = _at_least(light, detections_x, failure)
    wrong = hoeffding_deviation(sum(errors_x), failure)
    errors = light.scaled(errors_x, wrong, 1) - light.scaled(errors_x, -wrong, 2)
    return DecoyEstimate(
        vacuum_z=vacuum,
        single_photons_z=single_z,
        single_photons_x=single_x,
        single_photon_errors_x=max(0.0, light.photon_number_probability(1) / (decoy - weakest) * errors),
    )


def _at_least(light: Light, detections: tuple[int, ...], failure: float) -> tuple[float, float]:
    """s_0 (equation 2) and s_1 (equation 3) of one basis."""
    signal, decoy, weakest = light.intensities
    none, one = light.photon_number_probability(0), light.photon_number_probability(1)
    spread = hoeffding_deviation(sum(detections), failure)
    most = [light.scaled(detections, spread, k) for k in range(3)]
    least = [light.scaled(detections, -spread, k) for k in range(3)]
    vacuum = max(0.0, none * (decoy * least[2] - weakest * most[1]) / (decoy - weakest))
    more_photons = (decoy**2 - weakest**2) / signal**2 * (most[0] - vacuum / none)
    single = one * signal * (least[1] - most[2] - more_photons)
    return vacuum, max(0.0, single / (signal * (decoy - weakest) - decoy**2 + weakest**2))
