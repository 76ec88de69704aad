"""ML-KEM secrets that the two ends of a stream agree on, so that a key can need more than the bytes of a QKD link.

    messages    what the two ends say to each other, in the session of the pair
    secret      Secret: what they agree on, and what is told of it
    kem         ML-KEM-768
    kept        the secrets that a follower holds, durably, until all keys that were made with them are gone
    agreeing    the state machine at either end
    combining   a key out of bytes of a link and a secret
    records     keys that several KMEs have to make alike

 1. The owner of a stream encapsulates to a fresh key of its follower, which holds the secret durably before the owner
    uses it. The owner has its secret in memory only: after a start, and for each epoch, it asks for another.
 2. A secret is bound to one epoch of one stream. Every key ID of a key that was made with it is bound to the secret, by
    its `check`. So no message is needed for a key, and no two ends can take one secret for another.
 3. An owner that is without its follower goes on with the secret that it has. When they meet again it asks first
    whether that still has it: it may have been restored to a copy, which closes no epoch that was empty.

ML-KEM-768 (FIPS 203) travels under the authentication of the connection, and has none of its own.
"""
