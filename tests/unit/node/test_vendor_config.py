"""Links that a vendor's device feeds, in node.toml: what is read, and what mistakes are told."""

from pathlib import Path

import pytest
from node_text import ALICE

from keyhop.core.errors import ConfigurationError
from keyhop.link.vendors.settings import Etsi004Options, Etsi014Options, FilesOptions
from keyhop.node.config import NodeConfig, parse_config

NODE = (
    ALICE
    + """[[kmes]]
id = "bob"
peer_address = "bob.example:18445"
"""
)

ETSI014 = """
[[links]]
id = "site-a-b"
peer = "bob"
kind = "etsi014"
role = "initiator"
base_url = "https://kme.vendor:8443/box"
peer_sae_id = "keyhop-b"
ca = "vendor/ca.pem"
certificate = "vendor/sae.pem"
key = "/etc/vendor/sae.key"
"""

ETSI004 = """
[[links]]
id = "site-a-b"
peer = "bob"
kind = "etsi004"
role = "follower"
address = "qkd.vendor:25575"
source = "qkd://b"
destination = "qkd://a"
ca = "vendor/ca.pem"
certificate = "vendor/sae.pem"
key = "vendor/sae.key"
"""

FILES = """
[[links]]
id = "site-a-b"
peer = "bob"
kind = "files"
role = "initiator"
directory = "keys"
"""


def parsed(link: str) -> NodeConfig:
    return parse_config(NODE + link, Path("/etc/keyhop"))


def test_each_kind_has_its_options() -> None:
    options = parsed(ETSI014 + 'size_bits = 512\nmax_rate_bps = 1e6\nserver_name = "box"\n').links[0].options
    assert isinstance(options, Etsi014Options)
    assert (options.ca, options.key) == (Path("/etc/keyhop/vendor/ca.pem"), Path("/etc/vendor/sae.key"))
    assert (options.size_bits, options.max_rate_bps, options.server_name) == (512, 1e6, "box")
    assert (options.method, options.minimum_tls, options.block_bytes) == ("POST", "1.2", 8192)
    options = parsed(ETSI004).links[0].options
    assert isinstance(options, Etsi004Options)
    assert (options.dialect, options.chunk_bytes) == ("c", 512)
    options = parsed(FILES).links[0].options
    assert isinstance(options, FilesOptions)
    assert (options.directory, options.pattern, options.format) == (Path("/etc/keyhop/keys"), "*.key", "raw")


@pytest.mark.parametrize(
    ("link", "told"),
    [
        (ETSI014.replace("initiator", "master"), "role"),
        (ETSI014.replace("https:", "http:"), "base_url"),
        (ETSI014.replace("/box", "/box?x=1"), "base_url"),
        (ETSI014.replace("kme.vendor", "me@kme.vendor"), "base_url"),
        (ETSI014.replace('peer_sae_id = "keyhop-b"', ""), 'needs "peer_sae_id"'),
        (ETSI014 + "size_bits = 100", "size_bits"),
        (ETSI014 + "max_rate_bps = 0", "max_rate_bps"),
        (ETSI014 + 'minimum_tls = "1.1"', "minimum_tls"),
        (ETSI014 + 'server_name = ""', "server_name"),
        (ETSI014 + "block_bytes = 64", "block_bytes"),
        (ETSI004 + "chunk_bytes = 1", "chunk_bytes"),
        (ETSI004 + 'dialect = "rust"', "dialect"),
        (FILES + 'format = "xml"', "format"),
        (FILES + "settle_s = -1", "settle_s"),
        (FILES + 'patern = "*"', 'unknown key "patern"'),
    ],
)
def test_a_mistake_is_told_where_it_stands(link: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed(link)
    assert told in caught.value.message
    assert "site-a-b" in caught.value.message
