"""The configuration of which the tests of `keyhop policy check` ask, with rules behind it."""

from pathlib import Path

from node_text import ALICE

from keyhop.node.config import parse_config
from keyhop.node.policy.check import check_config
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion

CONFIG = (
    ALICE
    + """lab = true
[[kmes]]
id = "bob"
peer_address = "bob.example:1"
[[kmes]]
id = "carol"
peer_address = "carol.example:1"
[[saes]]
id = "a"
kme = "alice"
[[saes]]
id = "a2"
kme = "alice"
[[saes]]
id = "b"
kme = "bob"
[[saes]]
id = "c"
kme = "carol"
[[links]]
id = "alice-bob"
peer = "bob"
kind = "rate"
secret_file = "link.secret"
"""
)


def of_file(text: str, question: PolicyQuestion) -> PolicyCheck:
    """What is said of that file with some text behind it."""
    return check_config(parse_config(CONFIG + text, Path("/etc/keyhop")), question)
