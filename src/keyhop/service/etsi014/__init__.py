"""ETSI GS QKD 014 V1.1.1, the server's edge: what an SAE's HTTPS connection sees of its KME.

    server.py       accepts connections, holds their limits, closes revoked ones, drains
    connection.py   one TLS connection: identity, deadlines, bounds on what arrives
    app.py          one request: who, what, answer (a bare ASGI callable)
    target.py       path and query        body.py         strict JSON
    extensions.py   extension parameters  models.py       wire spellings of requests and status
    encode.py       key containers and errors as bytes

Requests enter as `service.requests` types at a `KeyService`; what it replies leaves as JSON. Nothing here
decides who may have which key.
"""
