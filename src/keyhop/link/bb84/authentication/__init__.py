"""Wegman-Carter authentication of everything that the two ends of a link say to each other.

    transcripts     tags over what was said; delayed: nothing of a round is released before its tag
    tag_keys        the pool of one-time keys that both ends hold, by name
    enrolment       where the first of them come from
    verification    whether both ends have the same bits (a hash with a public key)

No I/O and no time: the caller saves the pool before a key is used.
"""
