"""One KME as a process: the only place where the layers meet.

config/            node.toml as typed, checked dataclasses
from_config        what the layers want of a configuration, in their own terms
node               a Node: store, KME, links and their servers
commits            when it commits what its event loop decided, and what it does when that fails
reloading          what it takes over from its configuration while it runs
node_links         its links, together (node_link: one of them; link_end: what its adapter is given)
audit_log          its audit log, and the seals that it tells elsewhere
copies             tells of a store that was set back, and of nodes that run twice
credentials        certificates and the revocation list, renewed while the node runs
daemon             the process: signals, graceful stop, exit status
process            what it asks of the operating system: no core dumps, many sockets
preflight          what `node check` and `node run` both look at before anything starts
planned            what a bb84 link will give as it is configured
listening          addresses that are listened on, and why one cannot be (address: how they are written)
expiry             warns of certificates and lists that run out
management/        the management API
desk               what stands behind it: all that operators see and may do
state              what the management API and the metrics show
network_state      that, read from a node's pairs and links
readiness          whether the node serves, and what it lacks
measured           a key service whose answers are counted and timed
telemetry/         logs without key bytes, metrics
"""
