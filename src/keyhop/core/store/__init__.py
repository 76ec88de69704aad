"""Where a node keeps what must survive: one transactional map of small secret values.

    base      the KeyStore protocol and its slots
    memory    for tests and for networks that need not survive
    sealing   how values are encrypted at rest
    sqlite    the embedded default: apsw, WAL, synchronous=FULL, encrypted at rest
    wal       its WAL: when it goes into the database, and whether the two belong together

Both pass `keyhop.testing.store_conformance`. A store is used by one process at a time.
"""
