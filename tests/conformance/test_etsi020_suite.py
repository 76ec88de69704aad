"""The ETSI 020 suite against a KMS that conforms, and against KMSs that break one rule each."""

import pytest
from reference_kms import kms_certificates, reference_kms

from keyhop.pki import Authority
from keyhop.testing.conformance.etsi020 import SUITE

PLANTED = {
    "TLS 1.2": "refuses TLS 1 2",
    "no certificate is needed": "refuses clients without certificate",
    "another version": "speaks v1",
    "200 for all": "a key is accepted and acknowledged",
    "never acknowledged": "a key is accepted and acknowledged",
    "one key of many": "several keys are acknowledged",
    "an object": "a key is accepted and acknowledged",
    "another initiator": "acknowledgements name keys and SAEs",
    "unheard-of status": "a key is accepted and acknowledged",
    "no retries": "a retry has the same outcome",
    "first value does not stay": "another value under a known ID is refused",
    "values are changed": "the target gets the key",
    "a callback has to be there": "synchronous requests are served if announced",
    "not announced": "synchronous requests are refused if not announced",
    "mandatory is ignored": "an unknown mandatory extension is refused",
    "details are dropped": "an unknown mandatory extension is refused",
    "any body": "a body that is not JSON is refused",
    "errors are 500": "missing parameters are told",
    "errors are messages": "missing parameters are told",
    "no types": "an unknown target is a routing error",
    "any target": "a key that would go back is a routing error",
    "any callback": "a malformed callback is refused",
    "any void": "a void of everything needs confirmation",
    "voids always work": "a delivered key cannot be voided",
    "voided keys are delivered": "a voided key is refused to applications",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return kms_certificates(tmp_path_factory.mktemp("reference-kms"))


def test_a_kms_that_conforms_passes_everything(authority: Authority) -> None:
    with reference_kms(authority) as target:
        report = SUITE.run(target)
    unlike = [(result.name, result.found) for result in report.results if result.verdict != "pass"]
    assert unlike == [("synchronous requests are refused if not announced", "the server announces synchronous_mode")]
    assert report.conforms


@pytest.mark.parametrize("fault", PLANTED)
def test_what_a_kms_breaks_is_found(authority: Authority, fault: str) -> None:
    with reference_kms(authority, fault) as target:
        target.wait_s = 0.3
        names = {PLANTED[fault]}
        suite = type(SUITE)(SUITE.standard)
        suite.checks = [check for check in SUITE.checks if check.name in names]
        report = suite.run(target)
    assert names == {result.name for result in report.failed()}


def test_without_the_target_sae_its_checks_are_skipped(authority: Authority) -> None:
    with reference_kms(authority) as target:
        target.slave = None
        report = SUITE.run(target)
    skipped = {result.name for result in report.results if "--slave" in result.found}
    assert skipped == {
        "the target gets the key",
        "a voided key is refused to applications",
        "a delivered key cannot be voided",
    }
    assert report.conforms
