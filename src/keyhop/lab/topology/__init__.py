"""What a lab's network is: a TOML file with KMEs, SAEs and links, or the name of one that is shipped.

    model  what a topology says
    file   from TOML, and back
    rules  what must hold between its parts

[[kmes]]   id; network, if there are several: KMEs of different networks know nothing of each other; saes = 14, for as
           many SAEs there, called ID-1 to ID-14
[[saes]]   id, kme
[[links]]  id, ends = ["alice", "bob"], kind = "rate" or another, and the options of that kind, as in a node.toml
[[gateways]]  ends = ["toronto-z", "cambridge-x"]: these KMEs of two networks hand keys over to each other
[[delays]] ends = ["alice", "bob"], one_way_ms = 45: what these two nodes say to each other takes so long
[policy], [relay]  optional; passed to every node as they are
psk_refresh_s = 60, before all tables: nodes know each other by pre-shared keys, refreshed so often, not by certificates

Of a bb84 link the first end is the transmitter; of links that a device feeds it is the initiator. A link of kind
etsi014 gets its keys from KMEs of another network, as whose SAEs its ends appear: saes = ["first", "second"]. A link of
kind files gets them from a process that the lab runs: device = {rate_bps, file_bytes}.

What nodes check anyway (policy, relay, the options of links) is not checked here, but by the nodes' own reading of the
configuration when the lab is set up.
"""

from keyhop.lab.topology.file import load_topology, parse_topology, shipped_topologies, topology_text
from keyhop.lab.topology.model import Delay, Device, Gateway, Kme, Link, Sae, Topology

__all__ = [
    "Delay",
    "Device",
    "Gateway",
    "Kme",
    "Link",
    "Sae",
    "Topology",
    "load_topology",
    "parse_topology",
    "shipped_topologies",
    "topology_text",
]
