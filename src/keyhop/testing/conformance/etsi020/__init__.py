"""ETSI GS QKD 020 V1.1.1, tried by the KMS of another vendor.

    target     who asks whom, and requests that most checks make
    callbacks  where the server under test acknowledges: an HTTPS server for the time of the run
    transport  TLS 1.3, certificates, versions
    ext_keys   keys handed over, acknowledged, handed over again
    refusals   what is refused, and the problem documents that say so
    void       keys taken back

`SUITE` has all of them, in this order. They are cited by the standard's resource and method, as its text orders them.
"""

from keyhop.testing.conformance.etsi020 import ext_keys, refusals, transport, void
from keyhop.testing.conformance.etsi020.target import SUITE, Etsi020Target

__all__ = ["SUITE", "Etsi020Target"]

_ORDER = (transport, ext_keys, refusals, void)
SUITE.checks.sort(key=lambda check: [module.__name__ for module in _ORDER].index(check.run.__module__))
