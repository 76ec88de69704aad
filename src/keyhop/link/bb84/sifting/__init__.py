"""Sifting: the two ends keep the detections whose bases match, and cut them into the same rounds.

    sides           one object per run and end: announcements, answers
    payloads        what they tell each other, as bytes
    rounds          sifted events become rounds
    sifting_kernels the work per detection

What enters: detections at the receiver, the states of its pulses at the transmitter, the other side's payloads. What
leaves: payloads and `SiftedRound`s.
"""
