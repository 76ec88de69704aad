"""The relay: key bytes that this KME makes reach another one over the trusted nodes between, under one-time pads.

A parcel is announced to its destination directly, while its shares go along the paths that the plan names; the
destination checks what it can put together against the announcement, and answers directly: one round trip. Whoever
on a path cannot go on tells the source at once. Plans come from elsewhere; what they say is checked at every hop.

    hop-by-hop           one share, which is the secret: every node of the path knows it
    xor-at-destination   the secret under the first pad goes to the destination with the announcement; every node
                         inside the path sends the XOR of its two pads there, all at the same time
    secret-shared        a share along each of several node-disjoint paths: fewer than the threshold determine nothing

    messages      what is said on the wire
    parcels       what callers speak of: Parcel, Plan, Path, Flow; and what a plan may not be
    relay         Relay: the four sides behind one door
    source        its own parcels: sent, sent again, given up
    under_way     one of them, as long as nobody has answered
    hop           shares of others, from under one pad to under the next
    combining     pads of others, one XOR another
    destination   parcels for this KME: put together, proven, kept, answered
    assembly      what has come of one parcel, and which secrets can be made of it; attempts: records that came again
    places        pads that neighbours have told of before it is known what for
    announcing    what is said of a parcel, and what of that the proof covers
    proof         the two one-time MACs that bind what comes to what was sent
    guard         the code that shows whether a MAC's key was shifted
    sharing       secrets as shares: XOR of all, or Shamir's k of n
    vouching      whose parcels come over which neighbour, as their sources say: else they are taken for the neighbour's
    pads          where the relay takes bytes of a direct stream; fair_queue in which order
    nodes         whom this KME reaches, and how
    memory        bounds on what is kept for others

Every pad is bytes of a direct stream that the sender owns, taken once and used for one message; the receiver erases
its copy durably before it sends anything on (`network.sealing`). What was sent may be sent again, word for word: by the
source after a while, by a hop when the same message comes again; both forget in time, and at a restart. So a parcel
under way may be lost, and never comes as half of one and half of another.
"""
