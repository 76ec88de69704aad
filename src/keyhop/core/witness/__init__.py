"""A small counter outside the store, so that a store that was set back is found out without anybody's help.

The rules:

1. The store and its witness hold the number of the same step. A step in which the store changed is over after a second;
   the next number is made durable in the store first, then at the witness.
2. So the store is never behind its witness: at most it is one step ahead. A copy of the store that is older than a
   second holds a lower number than the witness, for good.
3. What vouches for a store must be of that store (a random identity in both) and of that node. A witness that is
   missing, or older than the store, vouches for nothing.

    base    what a witness states, and the protocol of whatever keeps it
    file    a witness in a file, on a file system of its own or at least in no backup of the store
    memory  for tests
    steps   the state machine: judges at the start, and counts while the node runs

What enters: the store's number and the witness's, and time. What leaves: a judgement, and numbers to write.
"""

from keyhop.core.witness.base import Statement, WitnessKeeper
from keyhop.core.witness.steps import Witness

__all__ = ["Statement", "Witness", "WitnessKeeper"]
