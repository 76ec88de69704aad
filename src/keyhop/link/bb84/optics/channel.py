"""The line as physics: how much light comes through, and how much that nobody sent."""

import math

from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, FreeSpaceOptions

_PLANCK_J_S = 6.62607015e-34
_LIGHT_M_PER_S = 299_792_458.0
_RAYLEIGH_DB_UM4_PER_KM = 0.85
_IMPERFECTIONS_DB_PER_KM = 0.03


def fibre_attenuation_db_per_km(wavelength_nm: float) -> float:
    """What standard single-mode fibre without a water peak (ITU-T G.652.D) typically has.

    Rayleigh scattering, a constant for imperfections, and the infrared absorption of silica, as in Walker,
    J. Lightwave Technol. 4, 1125 (1986); the infrared term is that of Miya et al., Electron. Lett. 15, 106 (1979).
    The first two are chosen to give the values of common data sheets: 0.32 at 1310 nm, 0.20 at 1550. For 1260
    to 1675 nm.
    """
    wavelength_um = wavelength_nm / 1000
    infrared = 7.81e11 * math.exp(-48.48 / wavelength_um)
    return _RAYLEIGH_DB_UM4_PER_KM / wavelength_um**4 + _IMPERFECTIONS_DB_PER_KM + infrared


def free_space_loss_db(options: FreeSpaceOptions) -> float:
    """Spreading of the beam beyond the receiving telescope, air and pointing.

    Geometric loss as in Bloom et al., J. Opt. Netw. 2, 178 (2003): the beam is evenly bright and as wide as the
    transmitter's aperture plus divergence times distance.
    """
    width_m = options.transmitter_aperture_m + options.divergence_mrad * options.distance_km  # mrad times km is m
    geometric_db = max(0.0, 20 * math.log10(width_m / options.receiver_aperture_m))
    return geometric_db + options.attenuation_db_per_km * options.distance_km + options.pointing_loss_db


def line_loss_db(options: ChannelOptions, time_s: float = 0.0) -> float:
    """Loss between transmitter and receiver at a time since the first pulse, the receiver's optics not included."""
    if options.medium == "fibre":
        loss_db = _fibre_attenuation(options, options.wavelength_nm) * options.fibre.length_km
    elif options.medium == "free-space":
        loss_db = free_space_loss_db(options.free_space)
    else:
        loss_db = options.loss_db
    return loss_db + options.loss_drift_db * slow_wave(time_s, options.loss_drift_period_s)


def line_transmittance(options: ChannelOptions, time_s: float = 0.0, extra_loss_db: float = 0.0) -> float:
    """The share of photons that reach the receiver."""
    return transmittance(line_loss_db(options, time_s) + extra_loss_db)


def receiver_transmittance(channel: ChannelOptions, detectors: DetectorOptions) -> float:
    """The share of photons at the receiver that its detectors count."""
    return transmittance(channel.insertion_loss_db) * detectors.efficiency


def transmittance(loss_db: float) -> float:
    """A loss as a factor."""
    return 10 ** (-loss_db / 10)


def slow_wave(time_s: float, period_s: float) -> float:
    """From 0 up to 1 and back, once in a period: the shape of every drift."""
    return (1 - math.cos(2 * math.pi * time_s / period_s)) / 2


def raman_power_w(options: ChannelOptions) -> float:
    """Power that the data on the same fibre scatter into the receiver's filter; 0 without such data.

    Scattering into the same direction, as in Eraerds et al., New J. Phys. 12, 063027 (2010), and Patel et al.,
    Phys. Rev. X 2, 041010 (2012): launched power x coefficient x filter width x length x attenuation, here
    integrated along the fibre because the two wavelengths may be attenuated differently.
    """
    data = options.classical
    if data.launch_power_dbm is None:
        return 0.0
    length_km = options.fibre.length_km
    data_per_km = _fibre_attenuation(options, data.wavelength_nm) * math.log(10) / 10
    pulses_per_km = _fibre_attenuation(options, options.wavelength_nm) * math.log(10) / 10
    difference = (data_per_km - pulses_per_km) * length_km
    # The integral of exp(-data z - pulses (L - z)) over z from 0 to L.
    shape = -math.expm1(-difference) / difference if abs(difference) > 1e-9 else 1.0
    effective_km = length_km * math.exp(-pulses_per_km * length_km) * shape
    launched_w = 1e-3 * 10 ** (data.launch_power_dbm / 10)
    return launched_w * data.raman_per_km_nm * data.filter_width_nm * effective_km


def background_counts_per_gate(channel: ChannelOptions, detectors: DetectorOptions) -> float:
    """Mean counts that light which nobody sent makes in one detector during one gate."""
    photon_j = _PLANCK_J_S * _LIGHT_M_PER_S / (channel.wavelength_nm * 1e-9)
    photons = raman_power_w(channel) / photon_j * detectors.gate_width_ns * 1e-9
    # Raman light has no phase that interferes: each detector gets half.
    return channel.background_counts_per_gate + photons * receiver_transmittance(channel, detectors) / 2


def _fibre_attenuation(options: ChannelOptions, wavelength_nm: float) -> float:
    configured = options.fibre.attenuation_db_per_km
    return fibre_attenuation_db_per_km(wavelength_nm) if configured is None else configured
