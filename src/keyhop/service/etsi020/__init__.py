"""ETSI GS QKD 020 V1.1.1: keys handed over to, and taken from, the KMS of another vendor in the same trusted node.

    interchange       both roles towards one other KMS, without I/O; it joins what follows
    sending           ext_keys as the sender sees it
    under_way         its requests, and what of them is acknowledged
    recalling         what it takes back; `voiding`: void as the sender sees it, of the keys in `voids`
    receiving         ext_keys as the receiver sees it; `taking_back`: void as the receiver sees it
    acks              what acknowledgements of the other KMS say
    acknowledgements  what we owe the other KMS, until it has taken them
    memory            which keys were sent or received, and what became of them; durable, bounded
    waiting           those who wait for keys that are under way
    accounts          outcomes, counted and written into the audit log
    transfer          what is handed over, and what is needed of the domain behind (`Domain`)
    models, problems  the wire formats; callbacks: where acknowledgements may be sent; calls: requests without I/O
    client, server    the asyncio shells: HTTP/1.1 over mutual TLS 1.3; asgi: one request at the server

What enters: keys of this domain for SAEs of the other one, and requests of the other KMS. What leaves: the same the
other way round. Keys are good only once they are `relayed`; what is uncertain is voided and used by nobody.
"""
