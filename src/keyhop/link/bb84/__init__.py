"""Decoy-state BB84 with efficient basis choice, from photon statistics to secret key."""
