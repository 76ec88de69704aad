"""The simulated optics: what light, fibre and detectors do, down to the single detection.

    options         source, line, detectors, as configured (needs no numpy)
    pulses          the state of each pulse: a function of a secret and its number
    channel         loss and background of fibre, free space, and data on the same fibre
    detectors       clicks of two detectors: dark counts, dead time, afterpulses
    eavesdropper    what Eve does to the pulses that she attacks
    photons_kernels which slots click at all, and how
    line            all of it: the next slots in, detections out
    expected        the formulas that gains, error rates and clicks follow

What enters: options, a secret, randomness, a number of slots. What leaves: what a receiver's electronics would show.
"""
