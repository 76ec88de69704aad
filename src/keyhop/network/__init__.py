"""The network layer: streams between the KMEs of a network, filled from links, kept in step over one connection each.

    wire        the messages between two nodes, and their frames; wire_types what they are made of
    marks       do the two ends of a stream remember the same history?
    agreement   what both ends of a pair remember, and what each does when that is not the same
    filling     link blocks → streams: who owns which, durable at the follower first
    leasing     stream bytes → uses: leases that the follower has noted, and who waits for them
    meter       how much comes and goes over minutes, and how long what is there will last
    windows     the follower's delivery windows, so that a restored backup is found out
    link_channels  what the adapters of links say to each other, in the same session
    carriage    records carried to the peer under a one-time pad and a one-time MAC
    arrivals    records that come from another KME: which of them are kept
    sealing     bytes of a stream that seal one message: a one-time MAC key, then a pad
    relay       key bytes for any KME, over the nodes between
    twins       do two nodes claim to be the same one?
    pair        all of that for one route to one peer: sessions, dispatch, time
    peer        one other KME: a pair for each route to it
    topology    who is joined with whom, and paths from one to another
    expanding   pads for records while a stream is dry, made of a seed from before
    hybrid      ML-KEM secrets of the two ends of a stream, for keys that need more than its bytes
    psk         a peer that is authenticated by a key, which is refreshed from the streams
    lines       the connections of a peer: how one takes over from another
    proof       who is at the other end of a connection
    accepting   who waits at a listener, a few at once; strangers: over TLS, before it is known who they are
    connection  the asyncio shell of one connection; connections: of all of them: listening, dialling with back-off

Everything but the last three is a state machine without I/O: link blocks, frames and ticks enter; frames and journal
entries leave. Every message may be lost, repeated or reordered.
"""
