"""Privacy amplification by a random Toeplitz matrix, exactly and fast.

    toeplitz                the hash; start here
    additive_fft            products of long binary polynomials
    binary_field            GF(2^64) in plain Python, for tables
    additive_fft_kernels, basis_change_kernels      the transform
    eight_words, carryless_products                 vectors of field elements in compiled code, and their product

What enters: the corrected bits of a round and a public seed. What leaves: its key.
"""
