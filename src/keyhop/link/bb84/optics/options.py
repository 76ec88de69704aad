"""What can be configured of the optics: the source, the line and the detectors. What is not configured is not there.

What the types cannot say stands in the `check_` functions.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from keyhop.core.errors import ConfigurationError

FIBRE_WAVELENGTHS_NM = (1260.0, 1675.0)
"""Where the attenuation of standard fibre is known: the O band to the U band."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The transmitter: weak coherent pulses of random phase, with decoys. The same at both ends."""

    clock_hz: Annotated[float, Meta(ge=1e3, le=1e11, description="Pulses per second.")] = 1e9
    intensities: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=2)], ...],
        Meta(
            min_length=2,
            max_length=3,
            description="Mean photons per pulse, falling: the signal, then one decoy or two.",
        ),
    ] = (0.42, 0.112)
    probabilities: Annotated[
        tuple[Annotated[float, Meta(gt=0, lt=1)], ...],
        Meta(min_length=2, max_length=3, description="How often each intensity is sent; they add up to 1."),
    ] = (0.71, 0.29)
    z_probability: Annotated[
        float, Meta(gt=0, lt=1, description="How often the transmitter chooses Z, the basis of the key.")
    ] = 0.885


@dataclass(frozen=True, slots=True)
class FibreOptions:
    """A fibre as the line, where `medium` is `fibre`."""

    length_km: Annotated[float, Meta(ge=0, le=1000, description="Length of the fibre.")] = 0.0
    attenuation_db_per_km: Annotated[
        Annotated[float, Meta(ge=0, le=10)] | None,
        Meta(description="Attenuation; unset: what standard fibre has at `wavelength_nm`."),
    ] = None


@dataclass(frozen=True, slots=True)
class FreeSpaceOptions:
    """A telescope at each end, where `medium` is `free-space`."""

    distance_km: Annotated[float, Meta(ge=0, le=50_000, description="Distance between the telescopes.")] = 1.0
    divergence_mrad: Annotated[float, Meta(ge=0, le=100, description="Full divergence angle of the beam.")] = 0.05
    transmitter_aperture_m: Annotated[
        float, Meta(gt=0, le=10, description="Diameter of the beam where it leaves the transmitter.")
    ] = 0.05
    receiver_aperture_m: Annotated[float, Meta(gt=0, le=10, description="Diameter of the receiving telescope.")] = 0.1
    attenuation_db_per_km: Annotated[
        float, Meta(ge=0, le=350, description="Attenuation of the air: about 0.2 when clear, over 10 in fog.")
    ] = 0.2
    pointing_loss_db: Annotated[float, Meta(ge=0, le=100, description="Loss by imperfect pointing and tracking.")] = 0.0


@dataclass(frozen=True, slots=True)
class ClassicalChannelOptions:
    """Data on another wavelength of the same fibre, in the same direction; its Raman scattering is background."""

    launch_power_dbm: Annotated[
        Annotated[float, Meta(ge=-60, le=30)] | None,
        Meta(description="Power into the fibre, all data channels together; unset: none."),
    ] = None
    wavelength_nm: Annotated[float, Meta(ge=1260, le=1675, description="Wavelength of the data.")] = 1552.0
    raman_per_km_nm: Annotated[
        float,
        Meta(ge=0, le=1e-6, description="Share of the power that scatters into one nm of the quantum channel per km."),
    ] = 3e-9
    filter_width_nm: Annotated[
        float, Meta(gt=0, le=100, description="Width of the receiver's filter around the quantum channel.")
    ] = 0.2


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """The simulated line between the two ends."""

    medium: Annotated[
        Literal["loss", "fibre", "free-space"],
        Meta(description="What is between the ends: just `loss_db`, or what [fibre] or [free_space] describes."),
    ] = "loss"
    loss_db: Annotated[float, Meta(ge=0, le=100, description="Loss of the line, where `medium` is `loss`.")] = 10.0
    fibre: Annotated[FibreOptions, Meta(description="The fibre.")] = FibreOptions()
    free_space: Annotated[FreeSpaceOptions, Meta(description="The telescopes.")] = FreeSpaceOptions()
    wavelength_nm: Annotated[float, Meta(ge=400, le=2000, description="Wavelength of the pulses.")] = 1550.0
    insertion_loss_db: Annotated[
        float, Meta(ge=0, le=100, description="Loss of the receiver's optics before its detectors.")
    ] = 0.0
    background_counts_per_gate: Annotated[
        float, Meta(ge=0, le=1, description="Mean counts of stray light per gate and detector.")
    ] = 0.0
    classical: Annotated[ClassicalChannelOptions, Meta(description="Data on the same fibre.")] = (
        ClassicalChannelOptions()
    )
    loss_drift_db: Annotated[
        float, Meta(ge=0, le=30, description="The loss slowly rises by this, and falls again.")
    ] = 0.0
    loss_drift_period_s: Annotated[float, Meta(ge=1, le=1e7, description="Seconds from least loss to least loss.")] = (
        600.0
    )


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """The receiver: a choice of basis, an interferometer or polariser, and two gated single-photon detectors."""

    efficiency: Annotated[float, Meta(gt=0, le=1, description="Chance that a photon makes a click.")] = 0.2
    dark_count_probability: Annotated[
        float, Meta(ge=0, lt=0.5, description="Chance of a dark count per gate and detector.")
    ] = 1e-6
    gate_width_ns: Annotated[
        float, Meta(gt=0, le=1e6, description="How long a gate is open for background; at most a clock period.")
    ] = 0.2
    dead_time_ns: Annotated[
        float, Meta(ge=0, le=1e6, description="After a click neither detector clicks for this long.")
    ] = 0.0
    afterpulse_probability: Annotated[
        float,
        Meta(ge=0, le=0.2, description="Chance that a click makes the same detector click as soon as it can again."),
    ] = 0.0
    visibility: Annotated[
        float, Meta(gt=0, le=1, description="Contrast of the interference; (1 - visibility) / 2 of photons go wrong.")
    ] = 0.96
    visibility_drift: Annotated[
        float, Meta(ge=0, le=1, description="The visibility slowly falls by this, and rises again.")
    ] = 0.0
    visibility_drift_period_s: Annotated[
        float, Meta(ge=1, le=1e7, description="Seconds from best visibility to best visibility.")
    ] = 600.0
    z_probability: Annotated[float, Meta(gt=0, lt=1, description="How often the receiver chooses Z.")] = 0.885


def check_source(options: SourceOptions) -> None:
    """Whether decoy bounds exist for these pulses. Raises ConfigurationError."""
    intensities, probabilities = options.intensities, options.probabilities
    if not 2 <= len(intensities) <= 3 or len(probabilities) != len(intensities):
        raise ConfigurationError(
            f"{len(intensities)} intensities with {len(probabilities)} probabilities",
            hint="give two intensities (one decoy) or three (two decoys), and as many probabilities",
        )
    if any(lower >= higher for higher, lower in itertools.pairwise(intensities)):
        raise ConfigurationError("the intensities shall fall", hint="the signal first, then the decoys, weakest last")
    if not math.isclose(sum(probabilities), 1.0, abs_tol=1e-6):
        raise ConfigurationError(
            f"the probabilities of the intensities add up to {sum(probabilities):g}", hint="make them add up to 1"
        )
    if len(intensities) == 2 and intensities[1] <= 0:
        raise ConfigurationError("a single decoy shall hold light", hint="for instance intensities = [0.42, 0.112]")
    if len(intensities) == 3 and intensities[0] <= intensities[1] + intensities[2]:
        raise ConfigurationError(  # Lim et al. 2014, before equation (2)
            "the signal shall be brighter than both decoys together", hint="for instance intensities = [0.5, 0.1, 0.0]"
        )


def check_channel(options: ChannelOptions) -> None:
    """Whether the line is described once, and wholly. Raises ConfigurationError."""
    described = {"fibre": options.fibre != FibreOptions(), "free-space": options.free_space != FreeSpaceOptions()}
    for medium, given in described.items():
        if given and options.medium != medium:
            raise ConfigurationError(
                f'the line is described as {medium}, but its medium is "{options.medium}"',
                hint=f'set medium = "{medium}", or leave the description out',
            )
    if options.medium == "fibre" and options.fibre.attenuation_db_per_km is None:
        low, high = FIBRE_WAVELENGTHS_NM
        if not low <= options.wavelength_nm <= high:
            raise ConfigurationError(
                f"the attenuation of a fibre at {options.wavelength_nm:g} nm is not known",
                hint=f"set attenuation_db_per_km, or a wavelength_nm from {low:g} to {high:g}",
            )
    if options.classical.launch_power_dbm is not None and options.medium != "fibre":
        raise ConfigurationError("data share the line, but it is not a fibre", hint='set medium = "fibre"')


def check_detectors(options: DetectorOptions, source: SourceOptions) -> None:
    """Whether gates fit between pulses and there is contrast at all times. Raises ConfigurationError."""
    if options.gate_width_ns * source.clock_hz > 1e9 * (1 + 1e-9):
        raise ConfigurationError(
            f"a gate of {options.gate_width_ns:g} ns is longer than a clock period",
            hint=f"set gate_width_ns to at most {1e9 / source.clock_hz:g}",
        )
    if options.visibility_drift > options.visibility:
        raise ConfigurationError("the visibility would fall below 0", hint="make visibility_drift smaller")
