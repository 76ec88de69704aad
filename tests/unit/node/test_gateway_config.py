"""The sections about other domains: what they mean, and what is wrong with them in words that help."""

from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId, SaeId
from keyhop.node.config import parse_config
from keyhop.node.from_config import sae_directory

BASE = """
[node]
id = "west"
[tls]
ca = "ca.pem"
certificate = "west.pem"
key = "west.key"
[[kmes]]
id = "alice"
peer_address = "127.0.0.1:9000"
[[saes]]
id = "alicesae"
kme = "alice"
"""
LISTEN = '[etsi020]\nlisten = "127.0.0.1:8446"\n'
GATEWAY = """
[[gateways]]
id = "east"
url = "https://east:8446"
callback_url = "https://west:8446/kmapi/v1/ext_keys/ack"
saes = ["bob*", "eve"]
ca = "east.pem"
"""


def parsed(text: str) -> object:
    return parse_config(text, Path("/etc/keyhop"))


def test_a_gateway_and_what_it_leads_to() -> None:
    config = parse_config(BASE + LISTEN + GATEWAY, Path("/etc/keyhop"))
    (gateway,) = config.gateways
    joint = gateway.joint()
    assert (joint.other.urls, joint.other.is_draft, joint.saes) == (("https://east:8446",), False, ("bob*", "eve"))
    assert gateway.ca == Path("/etc/keyhop/east.pem")
    directory = sae_directory(config)
    assert directory.kme_of(SaeId("bobsae")) == directory.kme_of(SaeId("eve")) == KmeId("west")
    assert directory.kme_of(SaeId("alicesae")) == KmeId("alice")
    assert directory.kme_of(SaeId("mallory")) is None
    assert [directory.is_foreign(SaeId(sae)) for sae in ("bobsae", "alicesae", "mallory")] == [True, False, False]
    assert SaeId("bobsae") not in directory.homes


def test_a_node_that_is_no_gateway_knows_the_way() -> None:
    text = BASE + '[[foreign_saes]]\nkme = "alice"\nsaes = ["*"]\n'
    directory = sae_directory(parse_config(text, Path("/etc/keyhop")))
    assert directory.kme_of(SaeId("anybody")) == KmeId("alice")
    assert not directory.is_foreign(SaeId("alicesae"))


def test_policies_may_name_saes_of_other_domains() -> None:
    parsed(BASE + LISTEN + GATEWAY + '[[policy.allow]]\nmaster = "alicesae"\nslave = "bobsae"\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GATEWAY, "[[gateways]] needs [etsi020] listen"),
        (LISTEN + GATEWAY.replace('"east"', '"west"', 1), "[[gateways]] west has the ID of this node"),
        (LISTEN + GATEWAY.replace('"east"', '"alice"', 1), "has the ID of [[kmes]] alice"),
        (LISTEN + GATEWAY + GATEWAY, "[[gateways]] east has the ID of [[gateways]] east"),
        (LISTEN + GATEWAY.replace("https://east", "http://east"), 'url = "http://east:8446"'),
        (LISTEN + GATEWAY.replace("https://east", "https://u@east"), "url = 'https://u@east:8446' is no https address"),
        (LISTEN + GATEWAY.replace("bob*", "alicesae"), "SAE alicesae stands in [[saes]] too"),
        (LISTEN + GATEWAY.replace("bob*", "eve"), "eve stands in [[gateways]] east too"),
        (LISTEN + GATEWAY.replace("bob*", "b b"), "SAE_ID shall be 1 to 64 visible characters"),
        (LISTEN + GATEWAY.replace('saes = ["bob*", "eve"]', "saes = []"), "saes = []"),
        (LISTEN + GATEWAY + 'edition = "0.5"', 'edition = "0.5"'),
        (LISTEN.replace("8446", "8443") + GATEWAY, "[etsi014] listen and [etsi020] listen are both 127.0.0.1:8443"),
        ('[etsi020]\ncertificate = "kms.pem"\n', "[etsi020] certificate and key go together"),
        ('[[foreign_saes]]\nkme = "west"\nsaes = ["bob*"]\n', "is this node"),
        ('[[foreign_saes]]\nkme = "bob"\nsaes = ["bob*"]\n', "unknown KME 'bob'"),
        ('[[foreign_saes]]\nkme = "alice"\nsaes = ["alicesae"]\n', "SAE alicesae stands in [[saes]] too"),
        (
            LISTEN + GATEWAY + '[[foreign_saes]]\nkme = "alice"\nsaes = ["bob*"]\n',
            "bob* stands in [[gateways]] east too",
        ),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        parsed(BASE + text)
    assert message in failure.value.message
    assert failure.value.hint or "SAE_ID" in message
