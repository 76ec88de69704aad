"""How a node.toml of alice begins; what tests put behind it still belongs to `[node]` at first."""

ALICE = """
[tls]
ca = "ca.pem"
certificate = "alice.pem"
key = "alice.key"
[node]
id = "alice"
"""
