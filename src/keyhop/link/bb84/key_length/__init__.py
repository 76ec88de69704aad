"""How many bits of a round are secret.

    finite_key          the length, from counts; one_decoy and two_decoy bound what single photons gave
    decoy_statistics    what the bounds have in common
    count_statistics    attacks on the detectors, which errors do not show
    planning            what a configured link will give
    parameters          the intensities and probabilities that give most (research, not needed to run a link)

Plain numbers enter and leave.
"""
