"""Relayed streams kept between water marks: enough for what is asked for, and no more of scarce links than that takes.

    options   whether streams are kept filled, and what those hold of which nobody asks anything
    water     the marks between which a stream is kept, from how much is asked for (`network.meter`)
    feed      one stream: how much is under way into it
    planning  which paths a parcel takes, and why it cannot
    feeder    all relayed streams of a KME: what each lacks is relayed
    fairness  how evenly those of one priority are served

What enters: ticks, and what other parts say of streams and paths. What leaves: parcels for the relay.
"""
