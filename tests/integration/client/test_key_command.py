"""`keyhop key` against a real HTTPS server with mutual TLS, in this process and as users run it."""

import base64
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from foreign_kme import ForeignKme, Pem, TestAuthority, foreign_kme

from keyhop.cli import main

SECRETS = (b"a very secret string of 32 bytes", b"another string, also of 32 bytes")
TEXTS = tuple(base64.b64encode(secret).decode() for secret in SECRETS)
KEY_IDS = tuple(str(uuid4()) for _ in SECRETS)
TWO_KEYS = {"keys": [{"key_ID": i, "key": k} for i, k in zip(KEY_IDS, TEXTS, strict=True)]}
ONE_KEY = {"keys": TWO_KEYS["keys"][:1]}

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("pki"), "authority")


@pytest.fixture(scope="module")
def alice(authority: TestAuthority) -> Pem:
    return authority.issue("alicesae")


@pytest.fixture
def kme(authority: TestAuthority) -> Iterator[ForeignKme]:
    with foreign_kme(authority.issue("kme", "127.0.0.1"), authority.ca) as running:
        running.body = json.dumps(ONE_KEY).encode()
        yield running


@pytest.fixture
def run(
    kme: ForeignKme,
    authority: TestAuthority,
    alice: Pem,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run `keyhop key ...` as alicesae: exit code, stdout, stderr."""
    monkeypatch.setenv("KEYHOP_KME", kme.url)
    monkeypatch.setenv("KEYHOP_CA", str(authority.ca))
    monkeypatch.setenv("KEYHOP_CERT", str(alice.certificate))
    monkeypatch.setenv("KEYHOP_KEY", str(alice.key))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["key", *map(str, arguments)])
        shown = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, shown.out, shown.err

    return run


def test_key_bytes_are_not_shown(run: Run) -> None:
    for form in ((), ("--json",)):
        code, out, err = run("get", "bobsae", *form)
        assert code == 0
        assert KEY_IDS[0] in out
        assert TEXTS[0][:12] not in out + err
    assert "<256 bits of key>" in run("get", "bobsae")[1]


def test_reveal_shows_them(run: Run) -> None:
    assert TEXTS[0] in run("get", "bobsae", "--reveal")[1]
    (key,) = json.loads(run("get", "bobsae", "--reveal", "--json")[1])["keys"]
    assert (key["key_id"], key["size_bits"], key["key"]) == (KEY_IDS[0], 256, TEXTS[0])


def test_status_as_json(run: Run, kme: ForeignKme) -> None:
    names = ("source_KME_ID", "target_KME_ID", "master_SAE_ID", "slave_SAE_ID")
    counts = ("key_size", "stored_key_count", "max_key_count", "max_key_per_request", "max_key_size", "min_key_size")
    kme.body = json.dumps(dict.fromkeys(names, "x") | dict.fromkeys((*counts, "max_SAE_ID_count"), 5)).encode()
    code, out, _ = run("status", "bobsae", "--json")
    assert (code, json.loads(out)["stored_key_count"]) == (0, 5)
    assert "stored_key_count" in run("status", "bobsae")[1]


def test_one_key_to_a_file_is_its_bytes_for_the_owner_only(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "key"
    previous = os.umask(0)
    try:
        code, shown, _ = run("get", "bobsae", "--out", out)
    finally:
        os.umask(previous)
    assert (code, out.read_bytes(), stat.S_IMODE(out.stat().st_mode)) == (0, SECRETS[0], 0o600)
    assert "<256 bits of key>" in shown


def test_many_keys_to_a_file_are_the_json_of_the_terminal(run: Run, kme: ForeignKme, tmp_path: Path) -> None:
    kme.body = json.dumps(TWO_KEYS).encode()
    out = tmp_path / "keys.json"
    code, shown, _ = run("fetch", "bobsae", *KEY_IDS, "--out", out)
    assert code == 0
    keys = json.loads(out.read_bytes())["keys"]
    assert [(key["key_id"], key["key"]) for key in keys] == list(zip(KEY_IDS, TEXTS, strict=True))
    assert TEXTS[0] not in shown


def test_a_file_that_is_there_stays_and_costs_no_key(run: Run, kme: ForeignKme, tmp_path: Path) -> None:
    out = tmp_path / "key"
    out.write_text("precious")
    code, _, err = run("get", "bobsae", "--out", out)
    assert (code, out.read_text(), kme.seen) == (1, "precious", [])
    assert err.startswith("error: ")
    assert "hint: " in err


def test_force_replaces_a_file_and_its_mode(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "key"
    out.write_text("old")
    out.chmod(0o644)
    assert run("get", "bobsae", "--out", out, "--force")[0] == 0
    assert (out.read_bytes(), stat.S_IMODE(out.stat().st_mode)) == (SECRETS[0], 0o600)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_link_is_not_written_through(run: Run, kme: ForeignKme, tmp_path: Path, force: tuple[str, ...]) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    assert run("get", "bobsae", "--out", link, *force)[0] == 1
    assert not target.exists()
    assert kme.seen == []


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_failed_request_leaves_no_file(run: Run, kme: ForeignKme, tmp_path: Path, force: tuple[str, ...]) -> None:
    kme.code, kme.body = 401, b'{"message": "not for you", "details": [{"who": "alicesae"}]}'
    code, _, err = run("get", "bobsae", "--out", tmp_path / "key", *force)
    assert code == 4
    assert 'error: not for you ({"who": "alicesae"})' in err
    assert list(tmp_path.iterdir()) == []


def test_options_reach_the_kme(run: Run, kme: ForeignKme) -> None:
    run("get", "bob", "--size", "256", "--also", "c", "--mandatory", "x_age=60", "--optional", "x_route=direct")
    assert json.loads(kme.seen[0].body) == {
        "size": 256,
        "additional_slave_SAE_IDs": ["c"],
        "extension_mandatory": [{"x_age": 60}],
        "extension_optional": [{"x_route": "direct"}],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        ("fetch", "bobsae", "no-uuid"),
        ("fetch", "bobsae"),
        ("get", "bobsae", "--number", "0"),
        ("get", ".."),
        ("get", "bobsae", "--optional", "nameless"),
        ("get", "bobsae", "--kme", "http://127.0.0.1:1"),
        ("get", "bobsae", "--lab", "."),
    ],
)
def test_wrong_usage_is_told_with_code_2(run: Run, kme: ForeignKme, wrong: tuple[str, ...]) -> None:
    assert run(*wrong)[0] == 2
    assert kme.seen == []


def test_a_kme_out_of_reach(run: Run) -> None:
    code, out, err = run("get", "bobsae", "--kme", "https://127.0.0.1:1")
    assert (code, out) == (5, "")
    assert err.startswith("error: https://127.0.0.1:1: ")
    assert "hint: " in err


@pytest.mark.parametrize(("status", "expected"), [(503, 3), (400, 4), (401, 4), (404, 5)])
def test_what_the_kme_answers_is_told_by_exit_code_and_as_json(
    run: Run, kme: ForeignKme, status: int, expected: int
) -> None:
    kme.code, kme.body = status, b'{"message": "not now"}'
    code, out, err = run("get", "bobsae", "--json")
    told = json.loads(err)
    assert (code, out, told["status"]) == (expected, "", status)
    assert list(told) == ["error", "hint", "status"]


def test_wrong_usage_as_json(run: Run) -> None:
    code, _, err = run("get", "--json")
    told = json.loads(err)
    assert (code, told["error"], told["status"]) == (2, "Missing argument 'SLAVE'.", None)


@pytest.fixture
def lab(kme: ForeignKme, authority: TestAuthority, alice: Pem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory of a lab, as far as this command looks at it; its only KME is the foreign one."""
    for name in ("KME", "CA", "CERT", "KEY"):
        monkeypatch.delenv(f"KEYHOP_{name}")
    entry = {"id": "alice", "etsi014_url": kme.url, "management_url": "http://127.0.0.1:1", "config": "x", "pid": 1}
    sae = {"id": "alicesae", "kme": "alice", "cert": str(alice.certificate), "key": str(alice.key)}
    document = {"ca": str(authority.ca), "kmes": [entry], "saes": [sae]}
    (tmp_path / "lab.json").write_text(json.dumps(document))
    return tmp_path


def test_an_sae_of_a_lab(run: Run, lab: Path, kme: ForeignKme) -> None:
    code, out, _ = run("get", "bobsae", "--lab", lab, "--sae", "alicesae")
    assert code == 0
    assert KEY_IDS[0] in out
    assert kme.seen[0].sae == "alicesae"


def test_what_a_lab_does_not_have(run: Run, lab: Path) -> None:
    code, _, err = run("get", "bobsae", "--lab", lab, "--sae", "nobody")
    assert code == 1
    assert "its SAEs are: alicesae" in err
    assert run("get", "bobsae", "--lab", lab / "elsewhere", "--sae", "alicesae")[0] == 1
    (lab / "lab.json").write_text("{")
    assert run("get", "bobsae", "--lab", lab, "--sae", "alicesae")[0] == 1


def test_a_key_of_ones_own_goes_from_a_file_to_the_kme_and_nowhere_else(
    run: Run, kme: ForeignKme, tmp_path: Path
) -> None:
    for number, secret in enumerate(SECRETS):
        (tmp_path / str(number)).write_bytes(secret)
    kme.body = json.dumps({"key_IDs": [{"key_ID": key_id} for key_id in KEY_IDS]}).encode()
    files = ("--key-file", tmp_path / "0", "--key-file", tmp_path / "1")
    for form in ((), ("--json",)):
        code, out, err = run("insert", "bobsae", *files, "--also", "carolsae", *form)
        assert code == 0, err
        assert KEY_IDS[0] in out
        assert not any(text[:12] in out + err for text in TEXTS)
    (seen, _) = kme.seen
    assert (seen.method, seen.target, seen.sae) == ("POST", "/api/v1/keys/bobsae/keyhop_insert", "alicesae")
    assert json.loads(seen.body) == {
        "keys": [{"key": text} for text in TEXTS],
        "additional_slave_SAE_IDs": ["carolsae"],
    }
    code, _, _ = run("insert", "bobsae", *files, "--key-id", KEY_IDS[0], "--key-id", KEY_IDS[1])
    assert code == 0
    assert [key["key_ID"] for key in json.loads(kme.seen[-1].body)["keys"]] == list(KEY_IDS)


@pytest.mark.parametrize("content", [b"", b"x" * 1025, None])
def test_a_file_that_holds_no_key(run: Run, kme: ForeignKme, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    code, _, err = run("insert", "bobsae", "--key-file", tmp_path / "key")
    assert code == 1
    assert str(tmp_path / "key") in err
    assert not kme.seen


def test_voids_are_told_one_by_one_and_by_the_exit_code(run: Run, kme: ForeignKme) -> None:
    def outcome(*voided: bool) -> bytes:
        items = [
            {"key_ID": key_id, "key_ID_extension": {"keyhop_voided": each}}
            for key_id, each in zip(KEY_IDS, voided, strict=True)
        ]
        return json.dumps({"key_IDs": items}).encode()

    kme.body = outcome(True, True)
    assert run("void", "bobsae", *KEY_IDS)[0] == 0
    kme.body = outcome(True, False)
    code, out, err = run("void", "bobsae", *KEY_IDS, "--json")
    assert (code, json.loads(out)) == (1, {"voided": [KEY_IDS[0]], "not_voided": [KEY_IDS[1]]})
    assert "1 of 2 keys were not voided" in err
    assert kme.seen[-1].target == "/api/v1/keys/bobsae/keyhop_void"
