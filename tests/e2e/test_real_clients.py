"""Clients that others wrote, against a running network: curl, requests, etsi-qkd-014-client.

What a client says of the answer is checked, not what we would like it to say.
"""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
from callers import Caller
from etsi_qkd_014_client import QKD014Client  # type: ignore[import-untyped]

from keyhop.lab import Inventory
from keyhop.lab.demo import by_hand

curl_is_here = pytest.mark.requires_tool("curl")


@pytest.fixture
def bob(inventory: Inventory) -> Caller:
    return Caller.of(inventory, "bobsae")


@pytest.fixture
def alice(inventory: Inventory) -> Caller:
    return Caller.of(inventory, "alicesae")


def curl(caller: Caller, *arguments: str) -> str:
    """stdout of curl; it ends with 0 unless there was no answer at all."""
    done = subprocess.run(
        ["curl", "-sS", "--cacert", caller.ca, "--cert", caller.cert, "--key", caller.key, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl_json(caller: Caller, target: str, *arguments: str) -> Any:
    return json.loads(curl(caller, *arguments, f"{caller.url}/api/v1/keys/{target}"))


@curl_is_here
def test_curl_status(bob: Caller) -> None:
    status = curl_json(bob, "alicesae/status")
    assert (status["source_KME_ID"], status["target_KME_ID"]) == ("bob", "alice")
    assert (status["master_SAE_ID"], status["slave_SAE_ID"]) == ("bobsae", "alicesae")
    assert status["stored_key_count"] > 0


@curl_is_here
def test_curl_gets_and_fetches_by_get(bob: Caller, alice: Caller) -> None:
    (got,) = curl_json(bob, "alicesae/enc_keys")["keys"]
    (fetched,) = curl_json(alice, f"bobsae/dec_keys?key_ID={got['key_ID']}")["keys"]
    assert fetched == got


@curl_is_here
def test_curl_gets_and_fetches_by_post(bob: Caller, alice: Caller) -> None:
    def post(body: object) -> list[str]:
        return ["-H", "Content-Type: application/json", "-d", json.dumps(body)]

    got = curl_json(bob, "alicesae/enc_keys", *post({"number": 3, "size": 128}))["keys"]
    assert len({key["key_ID"] for key in got}) == 3
    ids = {"key_IDs": [{"key_ID": key["key_ID"]} for key in got]}
    assert curl_json(alice, "bobsae/dec_keys", *post(ids))["keys"] == got


@curl_is_here
def test_curl_brings_a_key_and_voids_another(bob: Caller, alice: Caller) -> None:
    def post(body: object) -> list[str]:
        return ["-H", "Content-Type: application/json", "-d", json.dumps(body)]

    own = {"key": base64.b64encode(bytes(range(32))).decode(), "key_ID": "0190d3c8-f1a2-7abc-9def-0123456789ab"}
    brought = curl_json(bob, "alicesae/keyhop_insert", *post({"keys": [own]}))
    assert brought == {"key_IDs": [{"key_ID": own["key_ID"]}]}
    assert curl_json(alice, "bobsae/dec_keys", *post(brought))["keys"] == [own]
    ids = {"key_IDs": [{"key_ID": key["key_ID"]} for key in curl_json(bob, "alicesae/enc_keys?number=2")["keys"]]}
    fetched, other = ids["key_IDs"]
    curl_json(alice, f"bobsae/dec_keys?key_ID={fetched['key_ID']}")
    void = curl_json(bob, "alicesae/keyhop_void", *post(ids))["key_IDs"]
    assert void == [
        {**fetched, "key_ID_extension": {"keyhop_voided": False}},
        {**other, "key_ID_extension": {"keyhop_voided": True}},
    ]
    refused = curl_json(alice, f"bobsae/dec_keys?key_ID={other['key_ID']}")
    assert refused["message"] == "one or more keys specified are not found on KME"


@curl_is_here
def test_curl_keeps_its_connection(bob: Caller) -> None:
    url = f"{bob.url}/api/v1/keys/alicesae/status"
    told = curl(bob, "--http1.1", *["-o", "/dev/null"] * 3, "-w", "%{http_version} %{num_connects}\n", url, url, url)
    assert told.splitlines() == ["1.1 1", "1.1 0", "1.1 0"]


@curl_is_here
@pytest.mark.parametrize("versions", [("--tlsv1.2", "--tls-max", "1.2"), ("--tlsv1.3",)], ids=["1.2", "1.3"])
def test_curl_speaks_both_versions_of_tls(bob: Caller, versions: tuple[str, ...]) -> None:
    assert len(curl_json(bob, "alicesae/enc_keys", *versions)["keys"]) == 1


@curl_is_here
def test_the_lines_of_the_demo_also_work_the_other_way_round(inventory: Inventory) -> None:
    lines = "\n".join(line for _, line in by_hand(inventory, "alicesae3", "bobsae3"))
    done = subprocess.run(["bash", "-eu"], input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    decoder, said, documents = json.JSONDecoder(), done.stdout, []
    while said := said.lstrip():
        document, end = decoder.raw_decode(said)
        documents.append(document)
        said = said[end:]
    status, got, fetched = documents
    assert (status["master_SAE_ID"], status["slave_SAE_ID"]) == ("alicesae3", "bobsae3")
    assert fetched["keys"] == got["keys"]


def test_requests_with_the_line_of_the_paper(
    bob: Caller, alice: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of the Wells Fargo paper as it stands there; only host and port are ours.

    It gives `requests` (key, certificate), which wants (certificate, key). OpenSSL reads from a PEM file the blocks
    that it looks for, so the line works when each of the two files holds both, as it must have been in the paper.
    """
    both = Path(bob.cert).read_bytes() + Path(bob.key).read_bytes()
    (tmp_path / "client_bob_key.pem").write_bytes(both)
    (tmp_path / "client_bob_crt.pem").write_bytes(both)
    shutil.copy(bob.ca, tmp_path / "ca_cert.pem")
    monkeypatch.chdir(tmp_path)
    host = bob.url.removeprefix("https://")
    # fmt: off
    r = requests.get(f"https://{host}/api/v1/keys/alicesae/enc_keys?number=1&size=256", verify='ca_cert.pem', cert=('client_bob_key.pem', 'client_bob_crt.pem'))  # noqa: E501
    # fmt: on
    assert r.status_code == 200
    assert r.headers["Content-Type"] == "application/json"
    key_response = r.json()
    assert alice.dec_keys("bobsae", key_response["keys"][0]["key_ID"]).body == key_response


def test_requests_session_posts(bob: Caller, alice: Caller) -> None:
    with requests.Session() as session:
        session.verify, session.cert = bob.ca, (bob.cert, bob.key)
        url = f"{bob.url}/api/v1/keys/alicesae"
        got = session.post(f"{url}/enc_keys", json={"number": 2}, timeout=30)
        refused = session.post(f"{url}/enc_keys", json={"number": 0}, timeout=30)
    assert (got.status_code, refused.status_code) == (200, 400)
    ids = [key["key_ID"] for key in got.json()["keys"]]
    assert alice.dec_keys("bobsae", *ids).body == got.json()


@pytest.fixture
def foreign(bob: Caller, alice: Caller) -> tuple[QKD014Client, QKD014Client]:
    """The PyPI package `etsi-qkd-014-client` at Bob and at Alice."""
    at_bob, at_alice = (
        QKD014Client(caller.url.removeprefix("https://"), caller.cert, caller.key, caller.ca) for caller in (bob, alice)
    )
    return at_bob, at_alice


def test_etsi_qkd_014_client_makes_all_three_calls(foreign: tuple[QKD014Client, QKD014Client]) -> None:
    at_bob, at_alice = foreign
    code, status = at_bob.get_status("alicesae")
    assert (code, status.master_sae_id, status.target_kme_id, status.key_size) == (200, "bobsae", "alice", 256)
    for request in ({}, {"number": 2, "size": 512}):
        code, got = at_bob.get_key("alicesae", **request)
        assert code == 200
        code, fetched = at_alice.get_key_with_key_IDs("bobsae", [key.key_id for key in got.keys])
        assert code == 200
        assert [(key.key_id, key.key) for key in fetched.keys] == [(key.key_id, key.key) for key in got.keys]


def test_etsi_qkd_014_client_sends_extensions_and_reads_errors(foreign: tuple[QKD014Client, QKD014Client]) -> None:
    at_bob, at_alice = foreign
    code, got = at_bob.get_key("alicesae", extension_mandatory=[{"keyhop_provenance": True}])
    assert code == 200
    assert got.key_container_extension["keyhop_provenance"]["paths"] == [["bob", "alice"]]
    code, got = at_bob.get_key("alicesae", additional_slave_sae_ids=["alicesae2", "bobsae2"])
    assert code == 200
    code, refused = at_bob.get_key("alicesae", size=12)
    assert (code, refused.message) == (400, "size shall be a multiple of 8")
    code, refused = at_alice.get_key_with_key_IDs("bobsae", ["550e8400-e29b-41d4-a716-446655440000"])
    assert (code, refused.message) == (400, "one or more keys specified are not found on KME")
