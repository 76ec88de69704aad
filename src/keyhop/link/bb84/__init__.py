"""Decoy-state BB84 with efficient basis choice, from photon statistics to secret key.

A link has two ends, in two processes: the transmitter, whose bits are the key, and the receiver, who corrects his.
They talk over a classical channel that may lose, repeat or alter what they say.

What the node sees:

    settings            what is configured, and what of that must be the same at both ends
    adapter, life       the LinkAdapter: start, stop, status; the asyncio shell around the engine
    detecting, worker   the pace of the receiver's device; threads for whatever computes
    compilation         compiles all kernels; `python -m keyhop.link.bb84`

The protocol, without I/O (messages and detections enter, commands leave):

    engine              greeting, run, and what to do when a run ends
    greeting, run       how the ends find each other; one unbroken, numbered, authenticated conversation
    transmitter, receiver, session          one end of a run
    transmitter_round, receiver_round, round_rules    one round: correct, compare, count, conclude
    messages, commands  what goes over the line, and what an end wants done
    condition, line_health, statistics      what an operator sees
    blocks              a round's key as blocks of the link

What a round is made of:

    sifting, sifting_payloads, sifted_rounds          matching bases, rounds cut alike at both ends
    reconciliation/     Cascade and LDPC codes
    verification        whether both ends have the same bits
    finite_key, one_decoy, two_decoy, decoy_statistics    how many bits are secret
    count_statistics    attacks that errors do not show
    amplification, additive_fft, ...        Toeplitz hashing, exactly
    authentication, tag_keys, enrolment     one-time tags over the conversation, and their keys

The simulated optics:

    options             source, line, detectors, as configured
    devices             what a real transmitter and receiver must do, and the simulated ones
    line, pulses, channel, detectors, eavesdropper, expected

What enters: options, files, the far end's messages, time, randomness. What leaves: `LinkBlock`s that the far end has
too. Nothing here but `settings` and `options` may be imported where numpy and numba are not installed.
"""
