"""ETSI GS QKD 014 V1.1.1, tried by two SAEs at their KMEs.

    target     who asks whom, and requests that most checks make
    transport  clause 4: TLS, certificates, content types
    status     clauses 5.1, 6.1
    get_key    clauses 5.2, 6.2, 6.3
    key_ids    clauses 5.3, 6.4: what a slave gets, once, and what nobody else gets
    errors     clause 6.5 and the messages of clause 5
    multicast  additional slaves

`SUITE` has all of them, in this order.
"""

from keyhop.testing.conformance.etsi014 import errors, get_key, key_ids, multicast, status, transport
from keyhop.testing.conformance.etsi014.target import SUITE, Etsi014Target

__all__ = ["SUITE", "Etsi014Target"]

_ORDER = (transport, status, get_key, key_ids, errors, multicast)
SUITE.checks.sort(key=lambda check: [module.__name__ for module in _ORDER].index(check.run.__module__))
