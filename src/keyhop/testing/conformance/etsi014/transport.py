"""Clause 4: HTTPS, TLS 1.2 or higher, both sides authenticated by certificate, JSON."""

import ssl
import warnings

import httpx

from keyhop.testing.conformance.checks import NotAdmitted, NotApplicable, NotConforming, expect
from keyhop.testing.conformance.etsi014.target import SUITE, Etsi014Target, answered, keys_path


@SUITE.check("4", "TLS 1.2 or 1.3")
def speaks_modern_TLS(target: Etsi014Target) -> None:  # noqa: N802 - its name is the check's
    reply = target.master.get(keys_path(target.slave, "status"))
    if reply.status in (401, 403):
        raise NotAdmitted(f"{answered(reply)}; this certificate is not {target.master.identity.id}'s for the KME")
    expect(reply.status == 200, answered(reply))


@SUITE.check("4", "a connection with TLS 1.1 fails")
def refuses_TLS_1_1(target: Etsi014Target) -> None:  # noqa: N802
    target.master.handshake(target.master.identity.context())  # there is somebody who speaks TLS at all
    context = target.master.identity.context()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    except (ssl.SSLError, ValueError):
        raise NotApplicable("this machine's TLS library cannot offer TLS 1.1") from None
    try:
        version = target.master.handshake(context)
    except OSError:
        return
    raise NotConforming(f"a connection with {version}")


@SUITE.check("4", "no connection, or code 401, without a client certificate")
def refuses_clients_without_certificate(target: Etsi014Target) -> None:
    target.master.handshake(target.master.identity.context())
    context = target.master.identity.context(with_certificate=False)
    try:
        reply = target.master.ask_once(keys_path(target.slave, "status"), context)
    except (httpx.HTTPError, OSError):
        return
    expect(reply.status == 401, answered(reply))


@SUITE.check("5.1", "the SAE ID of the caller comes from its certificate, at both KMEs")
def knows_SAEs_by_their_certificates(target: Etsi014Target) -> None:  # noqa: N802
    for party, other in ((target.master, target.slave), (target.slave, target.master)):
        reply = party.get(keys_path(other, "status"))
        expect(reply.status == 200, f"{party.identity.id}: {answered(reply)}")
        found = reply.document().get("master_SAE_ID")
        expect(found == party.identity.id, f"{party.identity.id} was taken for {str(found)[:64]}")


@SUITE.check("5.1", "answers have the content type application/json")
def answers_with_JSON(target: Etsi014Target) -> None:  # noqa: N802
    target.status()


@SUITE.check("5.2", "a POST whose content type says charset=utf-8 is served", "recommended")
def takes_a_charset(target: Etsi014Target) -> None:
    path = keys_path(target.slave, "enc_keys")
    reply = target.master.ask("POST", path, b'{"number": 1}', "application/json; charset=utf-8")
    expect(reply.status == 200, answered(reply))


@SUITE.check("5", "SAE IDs in paths are URL-encoded: one with every character encoded is the same SAE")
def decodes_SAE_IDs_in_paths(target: Etsi014Target) -> None:  # noqa: N802
    encoded = "".join(f"%{byte:02X}" for byte in target.slave.identity.id.encode())
    reply = target.master.get(f"/api/v1/keys/{encoded}/status")
    expect(reply.status == 200, answered(reply))
    found = reply.document().get("slave_SAE_ID")
    expect(found == target.slave.identity.id, f"slave_SAE_ID {str(found)[:64]!r}")
