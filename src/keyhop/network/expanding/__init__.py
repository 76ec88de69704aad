"""Pads for records while a stream is dry: made by a KDF of a seed that was taken from it before.

    messages    what the two ends say of a seed
    pads        the pad that a seed gives, by its number
    own         OwnSeed: taken while there is something, used by number while there is nothing
    held        HeldSeeds: at the follower, durably, with the highest number that was used

What goes under such a pad is as secret as HKDF-SHA-256 is hard to break, and no more: so it goes there only for SAEs
whose policy says so, and both of them are told. A number is used for one message; an owner that starts anew takes
another seed.
"""
