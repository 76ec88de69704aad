"""One KME as a process: the only place where the layers meet.

config             node.toml as typed, checked dataclasses (config_tables, config_rules: how and what is checked)
config_reference   writes docs/reference/configuration.md from them
node               a Node: store, journal, pairs, links, delivery and their servers
credentials        certificates and the revocation list, renewed while the node runs
daemon             the process: signals, graceful stop, exit status
process            what it asks of the operating system: no core dumps, many sockets
preflight          what `node check` and `node run` both look at before anything starts
listening          addresses that are listened on, and why one cannot be (address: how they are written)
expiry             warns of certificates and lists that run out
management         the management API
state              what the management API and the metrics show
network_state      that, read from a node's pairs and links
measured           a key service whose answers are counted and timed
telemetry/         logs without key bytes, metrics
"""
