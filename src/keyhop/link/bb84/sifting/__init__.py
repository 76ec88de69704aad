"""Sifting: the two ends keep the detections whose bases match, and cut them into the same rounds.

    collecting      the receiver tells nothing of a round before its last pulse is detected
    sides           one object per run and end: announcements, answers
    payloads        what they tell each other, as bytes
    rounds          collections become rounds
    sifting_kernels the work per detection

What enters: detections at the receiver, the states of its pulses at the transmitter, the other side's payloads. What
leaves: payloads and `SiftedRound`s.
"""
