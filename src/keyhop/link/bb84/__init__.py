"""Decoy-state BB84 with efficient basis choice, from photon statistics to secret key.

A link has two ends, in two processes: the transmitter, whose bits are the key, and the receiver, who corrects his.
They talk over a classical channel that may lose, repeat or alter what they say.

    adapter             the LinkAdapter that the node sees
    settings            what is configured, and what of that must be the same at both ends
    life                one end from start to stop: the asyncio shell around the engine
    detecting, worker   the pace of the receiver's device; threads for whatever computes
    devices             what a real transmitter and receiver must do, and the simulated ones
    compiled            kernels: how a function becomes machine code
    compilation         compiles all of them; `python -m keyhop.link.bb84`

    optics/             the simulated line, down to the single detection
    protocol/           the conversation of the two ends, without I/O; start at `engine`
    sifting/            matching bases, rounds cut alike at both ends
    reconciliation/     the receiver's bits become the transmitter's: Cascade, LDPC codes
    key_length/         how many of them are secret
    amplification/      Toeplitz hashing
    authentication/     one-time tags, their keys, and whether both ends have the same bits

What enters: options, files, the far end's messages, time, randomness. What leaves: `LinkBlock`s that the far end has
too. Nothing here but `settings` and `optics.options` may be imported where numpy and numba are not installed.
"""
