"""The ETSI 014 suite against servers that conform, and against servers that break one rule each."""

from dataclasses import replace

import pytest
from reference_kme import certificates, reference_kmes

from keyhop.pki import Authority
from keyhop.testing.conformance.etsi014 import SUITE

PLANTED = {
    "TLS 1.1": "refuses TLS 1 1",
    "no certificate is needed": "refuses clients without certificate",
    "callers are not known": "knows SAEs by their certificates",
    "HTML": "answers with JSON",
    "charset is refused": "takes a charset",
    "paths are not decoded": "decodes SAE IDs in paths",
    "counts are strings": "status has all counts",
    "a count is missing": "status has all counts",
    "wrong default size": "GET gives one key of the default size",
    "GET ignores its query": "GET takes number and size",
    "IDs are numbers": "key IDs are UUIDs and never repeat",
    "keys repeat": "keys never repeat",
    "hex instead of base64": "POST takes number and size",
    "optional is refused": "unknown optional extensions do no harm",
    "other bytes at the slave": "GET gives the same key",
    "keys stay": "a key is delivered once",
    "unknown IDs are skipped": "an unknown key is not found",
    "no key_ID is fine": "no key ID is refused",
    "GET takes any key_IDs": "GET takes exactly one key ID",
    "failures cost keys": "a failed request costs no key",
    "everybody may fetch": "a stranger is unauthorised",
    "any master": "the master in the path matters",
    "its own words": "a size that is no multiple of 8 is refused",
    "any number": "too many keys are refused",
    "any size": "too long a key is refused",
    "mandatory is ignored": "an unknown mandatory extension is refused",
    "any body": "a body that is not JSON is refused",
    "any slave": "an unknown slave is refused",
    "errors are text": "an unknown key is not found",
    "errors are 500": "an unknown key is not found",
    "details is a string": "too many keys are refused",
    "one slave takes all": "additional slaves get the same key",
    "any slaves": "an unknown additional slave fails the request",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return certificates(tmp_path_factory.mktemp("reference"))


def test_a_server_that_conforms_passes_everything(authority: Authority) -> None:
    with reference_kmes(authority) as target:
        report = SUITE.run(target)
    assert [(result.name, result.found) for result in report.results if result.verdict != "pass"] == []
    assert report.conforms


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_broken_is_found(authority: Authority, fault: str) -> None:
    with reference_kmes(authority, fault) as target:
        report = SUITE.run(target)
    assert PLANTED[fault] in {result.name for result in report.failed()}


def test_without_a_third_sae_its_checks_are_skipped(authority: Authority) -> None:
    with reference_kmes(authority) as target:
        target.stranger = None
        report = SUITE.run(target)
    skipped = [result for result in report.results if result.verdict == "skipped"]
    assert len(skipped) == report.count("skipped") == 4
    assert all(result.found == "needs a third SAE (--stranger-…)" for result in skipped)
    assert report.conforms


def test_nobody_conforms_who_does_not_answer(authority: Authority) -> None:
    """Neither does one whose checks were all skipped."""
    with reference_kmes(authority) as target:
        target.master.url = target.slave.url = "https://127.0.0.1:1"
        report = SUITE.run(target)
    assert not report.conforms
    assert all(result.found.startswith("no answer: ") for result in report.failed())
    assert not replace(report, results=()).conforms


def test_no_key_is_shown(authority: Authority) -> None:
    faults = ("other bytes at the slave", "keys stay", "hex instead of base64")
    for fault in faults:
        with reference_kmes(authority, fault) as target:
            reply = target.ask_keys({})
            assert b"keys" in reply.body
            assert repr(reply).count("body") == 0
            report = SUITE.run(target)
        assert all(len(result.found) < 200 for result in report.results)
