"""The service layer: who may have which key, and the interfaces through which SAEs ask.

    kme         one KME without I/O: everything below wired together
    kme_options what an operator sets for it, and may change while it runs
    delivery    get_key, get_key_with_ids, get_status, and what we add
    requests/   what is asked and answered
    from_streams get_key for one slave at another KME
    handing     how these are handed over
    routes      which streams to another KME a key may be of
    supply      which of these it is of
    claims      dec_keys: the keys that a slave may have once
    lookup      what key IDs name: places in a stream, records, what was sent a moment ago
    making      keys out of bytes of streams, at both ends (with ML-KEM: `network.hybrid`)
    vetting     whether a slave may have what was found for it
    redelivery  what was sent a moment ago, for slaves whose answer was lost
    multicast   keys for several slaves, for a slave at this very KME, or for one in another domain; a master's own keys
    slaves      where the slaves of such keys are, and what holds for them
    copies      records on their way
    suiting     what suits all of their slaves: pads, and ways
    spreading   records at several KMEs and in other domains: all of them, or none
    recall      keys taken back wherever their slaves are
    undoing     those that did not come together are taken back, until that has been answered
    abroad      the way into other domains
    voiding     keys that a master voids: what it asks for; `taking_back`: what the KMEs of its slaves do
    gates       the delivery windows within which keys are given out or voided
    foreign     which SAEs are of other domains (`crossing`: what of a policy can hold for them)
    homes       SAEs by their KMEs; `sae_patterns`: SAEs by what their IDs are like
    gateway/    a KME that joins its domain to others; etsi020/: ETSI GS QKD 020, the protocol between them
    audit       keys leave through it: first the record, then the reply
    policy/     what holds for a master and a slave
    limits      how much each SAE and each pair may ask for (`meters`: of one; `gauges`: levels that time raises)
    identity    who an SAE is
    etsi014/    ETSI GS QKD 014, the server's edge

What enters: requests of identified SAEs. What leaves: keys with their IDs, or an error with the standard's meaning.
"""
