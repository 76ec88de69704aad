"""The link layer: where key bits come from. Both ends of a link get the same blocks.

    adapter     what every kind of link offers: LinkAdapter, its blocks and its status
    registry    from a link's configuration to its adapter, by kind
    rate        a paced source for labs and large networks; it has no physics and says so
    bb84/       decoy-state BB84 down to the photon statistics, and all of the post-processing
    vendors/    QKD devices by others
    pacing      which blocks are due at a given time (no I/O)
    meter       SBR and QBER over the last seconds (no I/O)

Every kind passes the same conformance suite, `keyhop.testing.link_conformance`.

What enters: a link's options, time, and with bb84 and vendors a device or a classical channel. What leaves:
`LinkBlock`s in rising sequence, to one callback on the event loop. What becomes of them is the network's business.
"""
