"""node.toml: what is taken, and what its errors say."""

from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.rate import RateOptions
from keyhop.node.config import NodeConfig, load_config, parse_config
from keyhop.node.config.reference import PAGE, reference
from keyhop.service.identity import SaeEntry
from keyhop.service.policy import Allow

MINIMAL = """
[node]
id = "alice"
[tls]
ca = "../pki/ca.pem"
certificate = "alice.pem"
key = "alice.key"
"""

FULL = """
[node]
id = "alice"
data_dir = "/var/lib/keyhop"
lab = true
[tls]
ca = "../pki/ca.pem"
certificate = "alice.pem"
key = "alice.key"
crl = "crl.pem"
[etsi014]
listen = "127.0.0.1:18443"
minimum_tls = "1.3"
max_connections = 10
max_connections_per_sae = 5
handshake_timeout_s = 1
request_timeout_s = 2.5
idle_timeout_s = 3
[management]
listen = "[::1]:18444"
[peers]
listen = "0.0.0.0:18445"
[store]
kind = "memory"
key_file = "secrets/store.key"
[policy]
default_size_bits = 512
min_size_bits = 128
max_size_bits = 4096
max_keys_per_request = 64
max_additional_slaves = 0
wait_s = 0
key_lifetime_s = 3600
stock_bytes = 1048576
[[policy.allow]]
master = "alicesae"
[log]
level = "debug"
format = "console"
[[kmes]]
id = "bob"
peer_address = "bob.example:18445"
[[saes]]
id = "alicesae"
kme = "alice"
[[saes]]
id = "bobsae"
kme = "bob"
san_uri = "urn:sae:bob"
[[links]]
id = "alice-bob"
peer = "bob"
kind = "rate"
rate_bps = 726000
qber = 0.0322
block_bytes = 8192
secret_file = "link.secret"
force = false
"""


def parse(text: str) -> NodeConfig:
    return parse_config(text, Path("/etc/keyhop"))


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as failure:
        parse(text)
    return failure.value


def test_a_minimal_file_gets_the_defaults() -> None:
    config = parse(MINIMAL)
    assert (config.node.id, config.node.lab) == ("alice", False)
    assert config.node.data_dir == Path("/etc/keyhop/data")
    assert config.store_key_file == Path("/etc/keyhop/data/store.key")
    assert (config.store.kind, config.tls.crl) == ("sqlite", None)
    assert (config.policy.default_size_bits, config.policy.wait_s) == (256, 2.0)
    assert (config.kmes, config.saes, config.links, config.policy.allow) == ((), (), (), ())


def test_a_full_file_is_taken_as_written() -> None:
    config = parse(FULL)
    assert config.node.data_dir == Path("/var/lib/keyhop")
    assert config.tls.ca == Path("/etc/pki/ca.pem")
    assert config.tls.crl == Path("/etc/keyhop/crl.pem")
    assert (config.etsi014.minimum_tls, config.etsi014.handshake_timeout_s) == ("1.3", 1.0)
    assert config.store_key_file == Path("/etc/keyhop/secrets/store.key")
    assert config.policy.policy().allow == (Allow("alicesae", "*"),)
    assert config.policy.policy().base.default_size_bits == 512
    assert (config.log.level, config.log.format) == ("debug", "console")
    assert config.kmes[0].peer_address == "bob.example:18445"
    assert config.saes[1].entry() == SaeEntry(config.saes[1].id, config.kmes[0].id, san_uri="urn:sae:bob")
    (link,) = config.links
    assert (link.id, link.peer, link.kind) == ("alice-bob", "bob", "rate")
    assert link.options == RateOptions(Path("/etc/keyhop/link.secret"))


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "node.toml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("site/node.toml")).tls.key == tmp_path / "site" / "alice.key"


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("[policy]", "[polcy]", 'unknown section "polcy"', 'did you mean "policy"?'),
        ("lab = true", "lba = true", 'unknown key "lba" in [node]', 'did you mean "lab"?'),
        ("wait_s = 0", "wiat_s = 0", 'unknown key "wiat_s" in [policy]', 'did you mean "wait_s"?'),
        ("rate_bps", "rate_bsp", 'unknown key "rate_bsp" in [[links]] alice-bob', 'did you mean "rate_bps"?'),
        ('peer = "bob"', 'peer = "bob"\npeers = 1', 'unknown key "peers" in [[links]] alice-bob', '"peer"?'),
        ("peer_address", "address", 'unknown key "address" in [[kmes]] bob', 'did you mean "peer_address"?'),
        ('master = "al', 'mastre = "al', 'unknown key "mastre" in [[policy.allow]] number 1', '"master"?'),
        ("lab = true", "xyz = true", 'unknown key "xyz" in [node]', "known here: id, data_dir, lab"),
    ],
)
def test_unknown_keys_name_the_nearest_known_one(old: str, new: str, message: str, hint: str) -> None:
    failure = refusal(FULL.replace(old, new, 1))
    assert failure.message == message
    assert hint in (failure.hint or "")


@pytest.mark.parametrize("witness", ["witness", "sub/witness", "../keyhop/witness"])
def test_a_witness_is_not_kept_with_the_store(witness: str) -> None:
    failure = refusal(FULL.replace('kind = "memory"', f'kind = "sqlite"\nwitness = "/var/lib/keyhop/{witness}"'))
    assert "is in [node] data_dir" in failure.message
    assert failure.hint == "it would be backed up and restored with the store: give a file elsewhere"


def test_a_group_without_a_socket_is_a_mistake() -> None:
    failure = refusal(FULL.replace("max_connections = 10", 'max_connections = 10\nproxy_socket_group = "haproxy"'))
    assert failure.message.endswith("[etsi014] proxy_socket_group without proxy_socket")


def test_a_store_in_memory_has_no_witness() -> None:
    assert "of no use" in refusal(FULL.replace('kind = "memory"', 'kind = "memory"\nwitness = "w"')).message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "max_connections = 10",
            'max_connections = "10"',
            '[etsi014] max_connections = "10": shall be a whole number from 1 to 100000',
        ),
        ("max_connections = 10", "max_connections = true", "max_connections = true: shall be a whole number"),
        ("max_connections = 10", "max_connections = 1.5", "max_connections = 1.5: shall be a whole number"),
        ("max_connections = 10", "max_connections = 0", "max_connections = 0: shall be a whole number from 1"),
        ("lab = true", "lab = 1", "[node] lab = 1: shall be true or false"),
        ("wait_s = 0", "wait_s = nan", "[policy] wait_s = nan: shall be a number from 0 to 60"),
        ("wait_s = 0", "wait_s = inf", "[policy] wait_s = inf: shall be a number from 0 to 60"),
        ("wait_s = 0", "wait_s = -1", "[policy] wait_s = -1: shall be a number from 0 to 60"),
        ("qber = 0.0322", "qber = 3.22", "[[links]] alice-bob qber = 3.22: shall be a number from 0 to 0.5"),
        (
            "block_bytes = 8192",
            "block_bytes = 8190",
            "block_bytes = 8190: shall be a whole number from 256 to 1048576, in steps of 8",
        ),
        ("max_size_bits = 4096", "max_size_bits = 16384", "shall be a whole number from 8 to 8192, in steps of 8"),
        ("min_size_bits = 128", "min_size_bits = 129", "min_size_bits = 129: shall be a whole number"),
        ('minimum_tls = "1.3"', 'minimum_tls = "1.1"', '[etsi014] minimum_tls = "1.1": shall be "1.2" or "1.3"'),
        ('key = "alice.key"', "key = 3", "[tls] key = 3: shall be a path"),
        ('key = "alice.key"', 'key = ""', '[tls] key = "": shall be a path'),
        ('key = "alice.key"\n', "", '[tls] needs "key"'),
        ('secret_file = "link.secret"\n', "", '[[links]] alice-bob needs "secret_file"'),
        ('kind = "rate"\n', "", '[[links]] alice-bob needs "kind"'),
        ('kind = "rate"', 'kind = "rat"', "[[links]] alice-bob unknown kind of link 'rat'"),
        ("[[kmes]]", "[kmes]", "kmes: write each as [[kmes]]"),
        ("[log]", "[[log]]", "[log] shall be a table"),
        ("min_size_bits = 128", "min_size_bits = 1024", "[policy] min_size_bits 1024, default_size_bits 512"),
        ('kme = "bob"', 'kme = "carol"', '[[saes]] bobsae names the KME "carol", which is not in [[kmes]]'),
        ('peer = "bob"', 'peer = "carol"', '[[links]] alice-bob names the KME "carol"'),
        ('peer = "bob"', 'peer = "alice"', "[[links]] alice-bob has this node as its peer"),
        ('master = "alicesae"', 'master = "alicesea"', '[[policy.allow]] number 1 names the SAE or class "alicesea"'),
        ('id = "bob"\n', 'id = "alice"\n', "[[kmes]] alice is this node itself"),
        ('id = "alicesae"', 'id = "bob"', "[[saes]] bob: the certificate of KME bob has that subject CN too"),
        ('id = "bobsae"', 'id = "alicesae"', '[[saes]] id = "alicesae" stands there 2 times'),
        ('id = "bobsae"', 'id = "*"', '[[saes]] id = "*" means anyone'),
        ('id = "bobsae"', 'id = "bob sae"', "[[saes]] id = 'bob sae': SAE_ID shall be 1 to 64"),
        ("san_uri", 'subject_cn = "x"\nsan_uri', "SAE bobsae has subject_cn and san_uri"),
        ('san_uri = "urn:sae:bob"', 'subject_cn = "alicesae"', "have the same subject_cn 'alicesae'"),
        ('san_uri = "urn:sae:bob"', 'fingerprint_sha256 = "aa"', "is not a SHA-256 fingerprint"),
        ("127.0.0.1:18443", "127.0.0.1", '[etsi014] listen = "127.0.0.1" is not an address'),
        ("127.0.0.1:18443", "127.0.0.1:99999", "[etsi014] listen"),
        ("127.0.0.1:18443", "[::1]:18444", "[etsi014] listen and [management] listen are both [::1]:18444"),
        ("bob.example:18445", "bob.example:0", '[[kmes]] bob peer_address = "bob.example:0" is not an address'),
        ("bob.example:18445", "bob..example:1", '[[kmes]] bob peer_address = "bob..example:1" is not an address'),
        ("bob.example:18445", f"{'b' * 64}:1", f'[[kmes]] bob peer_address = "{"b" * 64}:1" is not an address'),
        ("bob.example:18445", "https://bob.example:1", "[[kmes]] bob peer_address"),
        ("lab = true", "lab = ", "not TOML: "),
    ],
)
def test_what_cannot_be_used_is_named(old: str, new: str, message: str) -> None:
    assert old in FULL
    assert message in refusal(FULL.replace(old, new, 1)).message


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ('level = "debug"', 'level = "warn"', 'did you mean "warning"?'),
        ('level = "debug"', 'level = "INFO"', 'did you mean "info"?'),
        ("[log]", '[relay]\nbuffering = "ondemand"\n[log]', 'did you mean "on-demand"?'),
        ("[log]", "[[log]]", "write it once, in single brackets"),
        ("[log]", "[[relay]]\n[log]", "write it once, in single brackets; what there may be several of in it: sources"),
        ("wait_s = 0", "wait_s = -1", "Seconds that a request waits when a stream is empty."),
    ],
)
def test_a_wrong_value_comes_with_a_hint(old: str, new: str, hint: str) -> None:
    assert refusal(FULL.replace(old, new, 1)).hint == hint


def test_missing_sections_are_named() -> None:
    assert refusal("[node]\nid = 'a'").message == "section [tls] is missing"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (5 << 20), b"[" * 100_000, b"a = " + b"[" * 100_000])
def test_hostile_files_are_configuration_errors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=str(path)):
        load_config(path)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_config(tmp_path / "none.toml")


def test_the_reference_page_is_what_the_dataclasses_say() -> None:
    root = Path(__file__).parents[3]
    assert (root / PAGE).read_text() == reference(), "run: python -m keyhop.node.config.reference > " + str(PAGE)
