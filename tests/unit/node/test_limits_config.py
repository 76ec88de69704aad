"""`[[policy.limits]]`: what is taken, and what its errors say."""

from pathlib import Path

import pytest
from node_text import ALICE

from keyhop.core.errors import ConfigurationError
from keyhop.node.config import parse_config
from keyhop.service.gauges import Quota, Rate
from keyhop.service.meters import Limit

HEAD = (
    ALICE
    + """[[saes]]
id = "alicesae"
kme = "alice"
"""
)


def read(*entries: str) -> list[Limit]:
    text = HEAD + "".join(f"[[policy.limits]]\n{entry}\n" for entry in entries)
    return [entry.limit() for entry in parse_config(text, Path("/etc/keyhop")).policy.limits]


def test_limits_are_taken_as_written() -> None:
    assert read(
        'sae = "*"\nrequests_per_s = 100\nrequests_burst = 200',
        'sae = "alicesae"\nbytes_per_s = 0.5\nbytes_burst = 64\nquota_bytes = 1000\nquota_period_s = 86400',
        'master = "alicesae"\nquota_bytes = 100\nquota_period_s = 60',
        'slave = "*"\nrequests_per_s = 1\nrequests_burst = 1',
    ) == [
        Limit("*", requests=Rate(100.0, 200)),
        Limit("alicesae", bytes=Rate(0.5, 64), quota_bytes=Quota(1000, 86400.0)),
        Limit(("alicesae", "*"), quota_bytes=Quota(100, 60.0)),
        Limit(("*", "*"), requests=Rate(1.0, 1)),
    ]


ONE = "requests_per_s = 1\nrequests_burst = 1"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([ONE], "[[policy.limits]] number 1 shall name an SAE or a pair"),
        (['sae = "*"\nslave = "*"\n' + ONE], "number 1 shall name an SAE or a pair"),
        (['sae = "*"'], "number 1 limits nothing"),
        (['sae = "*"\nrequests_per_s = 1'], "number 1 has requests_per_s without requests_burst"),
        (['sae = "*"\nbytes_burst = 64'], "number 1 has bytes_burst without bytes_per_s"),
        (['sae = "*"\nquota_bytes = 64'], "number 1 has quota_bytes without quota_period_s"),
        (['sae = "bobsae"\n' + ONE], '[[policy.limits]] names the SAE "bobsae", which is not in [[saes]]'),
        (['master = "bobsae"\n' + ONE], 'names the SAE "bobsae"'),
        (['slave = "bobsae"\n' + ONE], 'names the SAE "bobsae"'),
        (
            ['sae = "*"\n' + ONE, 'sae = "alicesae"\n' + ONE, 'sae = "*"\n' + ONE],
            "number 3 is for the same as number 1",
        ),
        (['slave = "*"\n' + ONE, 'master = "*"\n' + ONE], "number 2 is for the same as number 1"),
        (['sae = "*"\nbytes_per_s = 1\nbytes_burst = 31'], "number 1 allows 31 bytes at most, less than one key"),
        (['sae = "*"\nquota_bytes = 31\nquota_period_s = 1'], "number 1 allows 31 bytes at most, less than one key"),
        (['sae = "*"\nrequests_per_s = 0\nrequests_burst = 1'], "requests_per_s = 0: shall be a number over 0"),
    ],
)
def test_what_cannot_be_used_is_named(entries: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        read(*entries)
    assert message in failure.value.message
