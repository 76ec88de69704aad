"""A KME that joins its domain to others: what leaves the domain and what comes into it.

    joined     `Gateway`: the interchanges of this KME, and the way out: records of other KMEs, and of its own masters
    importing  the way in: keys of other domains' SAEs, which become records at the KMEs of their targets
    admitting  which of these are let in

What enters: records for SAEs of other domains, keys from other KMSs. What leaves: the same the other way round, and
calls to other KMSs. `keyhop.service.etsi020` has the protocol, `keyhop.service.spreading` all-or-nothing.
"""

from keyhop.service.gateway.admitting import Admitting
from keyhop.service.gateway.joined import Gateway, Joint

__all__ = ["Admitting", "Gateway", "Joint"]
