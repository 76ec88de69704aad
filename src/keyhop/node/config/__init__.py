"""node.toml: what it may say, and what is wrong with it.

    node_config                the file as typed dataclasses, and how it is read
    policy, policy_rules       its `[policy]`
    relay, gateways            its `[relay]`, and the domains that it is joined to
    tables, values             how TOML becomes dataclasses, and how it is said why it cannot
    rules, rules_of_...        what types cannot say: what has to fit together
    reference                  writes docs/reference/configuration.md from all this

What each field says of itself is what the reference shows.
"""

from keyhop.node.config.node_config import Etsi014Section as Etsi014Section
from keyhop.node.config.node_config import LinkSection as LinkSection
from keyhop.node.config.node_config import NodeConfig as NodeConfig
from keyhop.node.config.node_config import NodeSection as NodeSection
from keyhop.node.config.node_config import load_config as load_config
from keyhop.node.config.node_config import parse_config as parse_config
