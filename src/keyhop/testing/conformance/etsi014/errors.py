"""Clause 6.5, and the messages that the standard gives for what cannot be met."""

from keyhop.testing.conformance.checks import NotApplicable
from keyhop.testing.conformance.etsi014.target import SUITE, Etsi014Target, keys_path, refused
from keyhop.testing.conformance.https import member

MULTIPLE_OF_8 = "size shall be a multiple of 8"
MANDATORY_UNSUPPORTED = "not all extension_mandatory parameters are supported"


@SUITE.check("5.2", f"code 400, `{MULTIPLE_OF_8}`")
def a_size_that_is_no_multiple_of_8_is_refused(target: Etsi014Target) -> None:
    status = target.status()
    size = member(status, "key_size", int) + 1
    refused(target.ask_keys({"size": size}), 400, message=MULTIPLE_OF_8)


@SUITE.check("5.2", "the same by GET")
def GET_of_a_size_that_is_no_multiple_of_8_is_refused(target: Etsi014Target) -> None:  # noqa: N802
    size = member(target.status(), "key_size", int) + 1
    path = f"{keys_path(target.slave, 'enc_keys')}?size={size}"
    refused(target.master.get(path), 400, message=MULTIPLE_OF_8)


@SUITE.check("5.2", "code 400 for more keys than max_key_per_request")
def too_many_keys_are_refused(target: Etsi014Target) -> None:
    most = member(target.status(), "max_key_per_request", int)
    refused(target.ask_keys({"number": most + 1}), 400)


@SUITE.check("5.2", "code 400 for a key longer than max_key_size")
def too_long_a_key_is_refused(target: Etsi014Target) -> None:
    most = member(target.status(), "max_key_size", int)
    refused(target.ask_keys({"size": most + 8 - most % 8}), 400)


@SUITE.check("5.2", "code 400 for a key shorter than min_key_size")
def too_short_a_key_is_refused(target: Etsi014Target) -> None:
    least = member(target.status(), "min_key_size", int)
    if least <= 8:
        raise NotApplicable(f"min_key_size is {least}")
    refused(target.ask_keys({"size": (least - 1) // 8 * 8}), 400)


@SUITE.check("6.2", "code 400 for a number of keys that is not a positive integer")
def a_number_that_is_none_is_refused(target: Etsi014Target) -> None:
    for number in ("one", -1, 1.5):
        refused(target.ask_keys({"number": number}), 400)


@SUITE.check("5.2", f"code 400, `{MANDATORY_UNSUPPORTED}`")
def an_unknown_mandatory_extension_is_refused(target: Etsi014Target) -> None:
    request = {"extension_mandatory": [{"conformance_unheard_of": 1}]}
    refused(target.ask_keys(request), 400, message=MANDATORY_UNSUPPORTED)


@SUITE.check("5.2", "code 400 for a body that is not JSON")
def a_body_that_is_not_JSON_is_refused(target: Etsi014Target) -> None:  # noqa: N802
    refused(target.master.ask("POST", keys_path(target.slave, "enc_keys"), b"{number: 1"), 400)


@SUITE.check("5.2", "code 400 for a body that is no object")
def a_body_that_is_no_object_is_refused(target: Etsi014Target) -> None:
    refused(target.ask_keys([1]), 400)


@SUITE.check("5.2", "code 400 or 401 for a slave that nobody knows")
def an_unknown_slave_is_refused(target: Etsi014Target) -> None:
    refused(target.master.get("/api/v1/keys/conformance-nobody/enc_keys"), 400, 401)
