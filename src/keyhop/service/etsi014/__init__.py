"""ETSI GS QKD 014 V1.1.1, the server's edge: what an SAE's HTTPS connection sees of its KME.

    server.py       the listener and the open connections: closes revoked ones, drains
    handshakes.py   TLS handshakes, on a thread of their own, within a `cpu_budget.py`
    offload.py      connections whose TLS a proxy makes, each behind a `proxy_header.py`
    wire.py         a socket with TLS or without, on the event loop; owner.py: who is told what happens on it
    tls.py          TLS of one connection, without its socket
    registry.py     who has how many connections
    connection.py   one connection without I/O: order of answers, deadlines
    surroundings.py what that knows of the world around it
    turns.py        whose request is next
    reading.py      bytes to requests: httptools and our bounds
    calls.py        what a request's head asks for
    target.py       path and query        body.py         strict JSON
    id_columns.py   many key IDs of one body
    masters_keys.py keyhop_insert and keyhop_void, calls of our own
    extensions.py   extension parameters  models.py       wire spellings of requests and status
    answers.py      HTTP answers          encode.py       key containers and errors as bytes

Requests enter as `service.requests` types at a `KeyService`; what it replies leaves as JSON, in one write. Nothing
here decides who may have which key.
"""
