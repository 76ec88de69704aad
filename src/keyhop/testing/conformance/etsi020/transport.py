"""TLS 1.3, both sides authenticated by certificate, and GET versions."""

import ssl

import httpx

from keyhop.testing.conformance.checks import NotAdmitted, NotConforming, expect
from keyhop.testing.conformance.etsi020.target import SUITE, VERSIONS, Etsi020Target, answered
from keyhop.testing.conformance.https import member


@SUITE.check("transport", "a connection with TLS 1.2 fails")
def refuses_TLS_1_2(target: Etsi020Target) -> None:  # noqa: N802 - its name is the check's
    target.kms.handshake(target.kms.identity.context())  # there is somebody who speaks TLS at all
    context = target.kms.identity.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        version = target.kms.handshake(context)
    except OSError:
        return
    raise NotConforming(f"a connection with {version}")


@SUITE.check("transport", "no connection, or code 401, without a client certificate")
def refuses_clients_without_certificate(target: Etsi020Target) -> None:
    target.kms.handshake(target.kms.identity.context())
    try:
        reply = target.kms.ask_once(VERSIONS, target.kms.identity.context(with_certificate=False))
    except (httpx.HTTPError, OSError):
        return
    expect(reply.status == 401, answered(reply))


@SUITE.check("GET versions", "code 200 and an array of strings with v1 in it")
def speaks_v1(target: Etsi020Target) -> None:
    reply = target.kms.get(VERSIONS)
    if reply.status in (401, 403):
        raise NotAdmitted(f"{answered(reply)}; this certificate is no other KMS's for the server")
    expect(reply.status == 200, answered(reply))
    versions = member(reply.document(), "versions", list)
    expect("v1" in versions, f"versions {str(versions)[:100]}")
    expect(all(isinstance(each, str) for each in versions), "versions that are not strings")


@SUITE.check("GET versions", "capabilities, if there are any, are an array of strings")
def capabilities_are_strings(target: Etsi020Target) -> None:
    document = target.kms.get(VERSIONS).document()
    expect(isinstance(document, dict), "the answer is not an object")
    if document.get("capabilities") is not None:
        capabilities = member(document, "capabilities", list)
        expect(all(isinstance(each, str) for each in capabilities), "capabilities that are not strings")
