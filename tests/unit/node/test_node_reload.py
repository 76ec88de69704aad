"""SIGHUP: what it takes over, and what it says of the rest."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.errors import ConfigurationError, KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.relay.parcels import Flow
from keyhop.node.config import parse_config
from keyhop.node.node import Node
from keyhop.node.telemetry import configure_logging
from keyhop.pki import Authority, create_authority
from keyhop.service.requests import GetKey, GetStatus, Keys

CONFIG = """
[node]
id = "alice"
[tls]
ca = "pki/ca.pem"
certificate = "pki/nodes/alice.pem"
key = "pki/nodes/alice.key"
[store]
kind = "memory"
[etsi014]
listen = "127.0.0.1:18443"
[policy]
wait_s = 1.0
"""
MOVED = CONFIG.replace("18443", "18446").replace("wait_s = 1.0", "wait_s = 3.0")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = create_authority(tmp_path / "pki")
    made.issue_node("alice", ["127.0.0.1"])
    return made


def test_sections_that_need_a_restart_are_compared_with_what_runs(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def warned() -> list[list[str]]:
        events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        return [event["sections"] for event in events if event["level"] == "warning"]

    async def scenario() -> None:
        node = Node(parse_config(CONFIG, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        for text, expected in ((MOVED, [["etsi014"]]), (MOVED, [["etsi014"]]), (CONFIG, []), (CONFIG, [])):
            node.reload(parse_config(text, tmp_path))
            assert warned() == expected
            assert node.config.etsi014.listen == "127.0.0.1:18443"
            assert node.config.policy.wait_s == (3.0 if text is MOVED else 1.0)

    configure_logging("info", "json")
    asyncio.run(scenario())


def test_the_limits_of_streams_change_while_the_node_runs(authority: Authority, tmp_path: Path) -> None:
    network = CONFIG + '[[kmes]]\nid = "bob"\npeer_address = "127.0.0.1:18447"\n'
    for sae, kme in (("a", "alice"), ("b", "bob")):
        network += f'[[saes]]\nid = "{sae}"\nkme = "{kme}"\n'

    async def scenario() -> None:
        node = Node(parse_config(network, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        node.reload(parse_config(network.replace("[policy]", "[policy]\nstock_bytes = 131072"), tmp_path))
        pair = node.kme.peers[KmeId("bob")].relayed
        assert pair.filling.levels.stock_units == 131072 // 8
        assert pair.leasing._shares.floor_units == 4096 // 8
        node.reload(parse_config(network.replace("[policy]", "[policy]\nreserved_bytes_per_pair = 64"), tmp_path))
        assert pair.leasing._shares.floor_units == 64 // 8
        node.reload(parse_config(network.replace("[policy]", "[policy]\nstock_bytes = 131072"), tmp_path))
        status = node.kme.delivery.get_status(GetStatus(SaeId("a"), SaeId("b")))
        assert status.max_key_count == 131072 // 32

    asyncio.run(scenario())


def test_what_is_believed_of_other_kmes_changes_while_the_node_runs(authority: Authority, tmp_path: Path) -> None:
    network = CONFIG + '[[kmes]]\nid = "bob"\npeer_address = "127.0.0.1:18447"\n'
    urgent = Flow(KmeId("bob"), KmeId("bob"), KmeId("carol"), 7)

    async def scenario() -> None:
        node = Node(parse_config(network, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        assert node.kme.settings.standing(urgent).priority == 7
        node.reload(parse_config(network + "[relay]\nmost_priority = 3\n", tmp_path))
        assert node.kme.settings.standing(urgent).priority == 3
        assert node.kme.settings.standing(urgent._replace(source=KmeId("alice"))).priority == 7, (
            "its own is its own affair"
        )

    asyncio.run(scenario())


def test_priorities_of_links_wait_for_the_restart_with_the_links(authority: Authority, tmp_path: Path) -> None:
    """Of two links to a neighbour the better one counts."""
    (tmp_path / "link.secret").write_text("ab" * 32)
    (tmp_path / "link.secret").chmod(0o600)
    network = CONFIG.replace('id = "alice"', 'id = "alice"\nlab = true')
    network += '[[kmes]]\nid = "bob"\npeer_address = "127.0.0.1:18447"\n'
    for link, priority in (("one", 2), ("two", 6)):
        network += f'[[links]]\nid = "{link}"\npeer = "bob"\nkind = "rate"\nsecret_file = "link.secret"\n'
        network += f"priority = {priority}\n"

    async def scenario() -> None:
        node = Node(parse_config(network, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        node.reload(parse_config(network.replace("priority = 6", "priority = 0"), tmp_path))
        assert node.kme.settings.now.link_priorities == {"bob": 6}

    asyncio.run(scenario())


def test_limits_change_while_the_node_runs_and_those_that_do_not_keep_their_levels(
    authority: Authority, tmp_path: Path
) -> None:
    network = CONFIG + '[[kmes]]\nid = "bob"\npeer_address = "127.0.0.1:18447"\n'
    for sae, kme in (("a", "alice"), ("b", "bob"), ("c", "alice")):
        network += f'[[saes]]\nid = "{sae}"\nkme = "{kme}"\n'

    def limit(sae: str, burst: int) -> str:
        return f'[[policy.limits]]\nsae = "{sae}"\nrequests_per_s = 0.001\nrequests_burst = {burst}\n'

    async def scenario() -> None:
        def ask(sae: str) -> str:
            answers: list[Keys | KeyhopError] = []
            node.kme.delivery.get_key(GetKey(SaeId(sae), SaeId("b")), answers.append)
            (answer,) = answers
            assert isinstance(answer, KeyhopError)
            return answer.message

        dry = "no key material, and no connection to KME bob"
        quick = network.replace("wait_s = 1.0", "wait_s = 0")
        node = Node(parse_config(quick, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        assert [ask("a"), ask("c")] == [dry, dry]
        node.reload(parse_config(quick + limit("a", 1) + limit("c", 1), tmp_path))
        assert [ask("a"), ask("c")] == [dry, dry]
        node.reload(parse_config(quick + limit("a", 1) + limit("c", 2), tmp_path))
        assert ask("a") == "the limit of SAE a is reached: 0.001 requests per second, 1 at once"
        assert ask("c") == dry
        node.reload(parse_config(quick, tmp_path))
        assert ask("a") == dry

    asyncio.run(scenario())


def test_a_new_name_waits_for_the_restart_with_all_that_follows_from_it(authority: Authority, tmp_path: Path) -> None:
    network = CONFIG + '[[kmes]]\nid = "bob"\npeer_address = "127.0.0.1:18447"\n'
    for sae, kme in (("a", "alice"), ("b", "bob")):
        network += f'[[saes]]\nid = "{sae}"\nkme = "{kme}"\n'

    async def scenario() -> None:
        node = Node(parse_config(network, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        reserved = node.kme.settings.now.sae_pairs
        renamed = network.replace('[node]\nid = "alice"', '[node]\nid = "carol"')
        renamed += '[[kmes]]\nid = "alice"\npeer_address = "127.0.0.1:18448"\n'
        node.reload(parse_config(renamed, tmp_path))
        assert node.config.node.id == "alice"
        assert node.kme.settings.now.sae_pairs == reserved

    asyncio.run(scenario())


def test_saes_behind_a_gateway_wait_for_the_restart_with_it(authority: Authority, tmp_path: Path) -> None:
    """What runs hands nothing over for an SAE that it has read of since: its master got keys that stayed here."""
    network = CONFIG.replace("wait_s = 1.0", "wait_s = 0") + '[etsi020]\nlisten = "127.0.0.1:18446"\n'
    network += '[[saes]]\nid = "a"\nkme = "alice"\n'
    network += '[[gateways]]\nid = "east"\nurl = "https://east:1"\nca = "pki/ca.pem"\nsaes = ["far"]\n'
    network += 'callback_url = "https://alice:1/kmapi/v1/ext_keys/ack"\n'

    async def scenario() -> None:
        node = Node(parse_config(network, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        node.reload(parse_config(network.replace('["far"]', '["far*"]'), tmp_path))
        answers: list[Keys | KeyhopError] = []
        node.kme.delivery.get_key(GetKey(SaeId("a"), SaeId("farther")), answers.append)
        node.kme.flush()
        assert isinstance(answers[0], KeyhopError)
        assert answers[0].message == "SAE_ID is not known to this KME"
        assert node.directory.is_foreign(SaeId("far"))

    asyncio.run(scenario())


def test_a_wrong_certificate_changes_nothing(authority: Authority, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(parse_config(CONFIG, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        authority.files("node", "alice")[1].chmod(0o644)
        with pytest.raises(ConfigurationError, match="others may use it"):
            node.reload(parse_config(MOVED, tmp_path))
        assert node.config.policy.wait_s == 1.0

    asyncio.run(scenario())


def test_no_sae_is_known_by_the_certificate_of_a_kme_that_the_node_still_has(
    authority: Authority, tmp_path: Path
) -> None:
    """The file has dropped the KME, which waits for the restart."""
    before = CONFIG + '[[kmes]]\nid = "bob"\npeer_address = "127.0.0.1:18450"\n'
    after = CONFIG + '[[saes]]\nid = "bob"\nkme = "alice"\n'

    async def scenario() -> None:
        node = Node(parse_config(before, tmp_path), SystemClock(), SystemEntropy(), lambda: None)
        with pytest.raises(ConfigurationError, match="the certificate of KME bob has that subject CN too"):
            node.reload(parse_config(after, tmp_path))
        assert node.directory.kme_of(SaeId("bob")) is None

    asyncio.run(scenario())
