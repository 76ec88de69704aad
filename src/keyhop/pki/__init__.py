"""Certificates: who is who in the network, who no longer is, and the TLS contexts that enforce it.

    algorithms     the signature keys that we make
    profiles       what stands in each certificate and in the revocation list
    register       what the authority issued: issued.json
    authority      a self-signed authority in a directory: issue, renew, revoke
    contexts       mutual TLS contexts from PEM files
    psk            TLS contexts with a pre-shared key alone, and the file that holds it
    own_certificate  whether a node may show its own certificate
    revocations    the revocation list as a running node sees it
    files          whole-file writes

What enters: names, hosts, PEM files. What leaves: PEM files, `ssl.SSLContext` objects. No sockets.
"""

from keyhop.pki.algorithms import Algorithm
from keyhop.pki.authority import Authority, create_authority
from keyhop.pki.contexts import TlsFiles, client_context, server_context
from keyhop.pki.register import Issued
from keyhop.pki.revocations import Revocations

__all__ = [
    "Algorithm",
    "Authority",
    "Issued",
    "Revocations",
    "TlsFiles",
    "client_context",
    "create_authority",
    "server_context",
]
