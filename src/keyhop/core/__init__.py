"""The vocabulary that every layer shares. No sockets, and no event loop but in `watched`.

    errors      the error tree: whose fault, no HTTP codes
    names       what to tell somebody who named a thing that is not there
    ids         KME, SAE, link and key IDs, checked where they enter
    keys        KeyMaterial, which cannot print itself
    clock       time, injected
    entropy     randomness, injected
    xor         bytes under a pad
    units       streams are counted in units of eight bytes
    key_id      the position of a key in a stream, sealed into a UUID
    priority    of what is relayed, and of links
    ledger      where every byte of a stream went
    chunk       a stored run of stream bytes, and which of them are still there
    streams/    the two ends of a key stream: OwnedStream takes, FollowedStream finds
    records     keys that are at no stream position (multicast, same KME, a master's own); `record_ids`: their IDs
    record_room how many there may be of one master, and of one KME
    outgoing    records on their way to other KMEs, until it is settled whether they are there
    endings     what became of keys that are no longer here
    directories syncs one, so that names in it stay
    newest      so many values in the store, of which the oldest go: what both of these are
    watched     a task that tells when it fails
    journal     one durable commit per event-loop tick, and what may happen only after it
    audit       records of who got which keys, and where they go
    store/      KeyStore: memory and SQLite
    witness/    a counter outside the store, so that a store that was set back is found out

What enters: blocks of link bytes, requests to take or find. What leaves: key bytes, and writes for the store.
"""
