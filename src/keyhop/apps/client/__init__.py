"""A client of ETSI GS QKD 014 V1.1.1, for any vendor's KME; it imports nothing else of keyhop.

    tls = mutual_tls(ca="ca.pem", certificate="sae.pem", key="sae.key")
    with Client("https://kme.example:8443", tls) as kme:
        key = kme.get_key("bobsae").keys[0]
        send_to_bob(key.key_id)
        use(key.secret.reveal())

`calls` writes a request and knows how its answer is read; `answers` reads it, as data that an enemy may have
written; neither does I/O. `shells` puts both on httpx, once blocking (`Client`), once for asyncio
(`AsyncClient`). `results` and `errors` are what comes out; `tls` makes the mutual TLS context.

`insert_keys` and `void_keys` are keyhop's own: another vendor's KME refuses them.

Nothing is asked twice: a lost answer to `get_key` has cost its keys, and only the caller knows whether to ask
again.
"""

from keyhop.apps.client.errors import (
    BadRequest,
    ClientError,
    ProtocolError,
    TransportError,
    Unauthorised,
    Unavailable,
)
from keyhop.apps.client.results import Key, KeyContainer, SecretBytes, Status, Voided
from keyhop.apps.client.shells import AsyncClient, Client
from keyhop.apps.client.tls import mutual_tls

__all__ = [
    "AsyncClient",
    "BadRequest",
    "Client",
    "ClientError",
    "Key",
    "KeyContainer",
    "ProtocolError",
    "SecretBytes",
    "Status",
    "TransportError",
    "Unauthorised",
    "Unavailable",
    "Voided",
    "mutual_tls",
]
