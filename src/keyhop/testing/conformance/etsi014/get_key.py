"""Clauses 5.2, 6.2 and 6.3: Get key."""

from keyhop.testing.conformance.checks import NotApplicable, expect
from keyhop.testing.conformance.etsi014.target import (
    SUITE,
    Etsi014Target,
    Key,
    container,
    keys_path,
    refused,
)
from keyhop.testing.conformance.https import Reply, member

OPTIONAL_UNHANDLED = "not all extension_optional request options handled"
_UNHEARD_OF = "conformance_unheard_of"


@SUITE.check("5.2", "GET without parameters gives one key of key_size bits")
def GET_gives_one_key_of_the_default_size(target: Etsi014Target) -> None:  # noqa: N802
    _expect_default(target, target.master.get(keys_path(target.slave, "enc_keys")))


@SUITE.check("5.2", "POST of an empty object gives one key of key_size bits")
def POST_of_an_empty_object_asks_for_the_defaults(target: Etsi014Target) -> None:  # noqa: N802
    _expect_default(target, target.ask_keys({}))


@SUITE.check("5.2", "POST without a body gives one key of key_size bits", "recommended")
def POST_of_nothing_asks_for_the_defaults(target: Etsi014Target) -> None:  # noqa: N802
    _expect_default(target, target.master.ask("POST", keys_path(target.slave, "enc_keys"), b""))


@SUITE.check("5.2", "GET with number and size gives so many keys of that size")
def GET_takes_number_and_size(target: Etsi014Target) -> None:  # noqa: N802
    size, number = _another_size(target), _several(target)
    path = f"{keys_path(target.slave, 'enc_keys')}?number={number}&size={size}"
    _expect_keys(container(target.master.get(path)), number, size)


@SUITE.check("6.2", "POST with number and size gives so many keys of that size")
def POST_takes_number_and_size(target: Etsi014Target) -> None:  # noqa: N802
    size, number = _another_size(target), _several(target)
    _expect_keys(container(target.ask_keys({"number": number, "size": size})), number, size)


@SUITE.check("6.3", "every key has a key_ID of its own, a UUID")
def key_IDs_are_UUIDs_and_never_repeat(target: Etsi014Target) -> None:  # noqa: N802
    keys = target.new_keys(_several(target)) + target.new_keys(_several(target))
    expect(len({key.id.lower() for key in keys}) == len(keys), "the same key_ID twice")


@SUITE.check("6.3", "keys are different")
def keys_never_repeat(target: Etsi014Target) -> None:
    keys = target.new_keys(_several(target)) + target.new_keys(_several(target))
    expect(len({key.secret for key in keys}) == len(keys), "the same key twice")


@SUITE.check("6.3", "extensions in the container, if there are any, are objects")
def extensions_of_the_container_are_objects(target: Etsi014Target) -> None:
    reply = target.ask_keys({})
    container(reply)
    document = reply.document()
    for each in (document, *document["keys"]):
        for name in ("key_container_extension", "key_ID_extension", "key_extension"):
            if each.get(name) is not None:
                member(each, name, dict, "the Key container")


@SUITE.check("6.2", "unknown optional extensions are served, or refused with code 400 in the standard's words")
def unknown_optional_extensions_do_no_harm(target: Etsi014Target) -> None:
    reply = target.ask_keys({"extension_optional": [{_UNHEARD_OF: 1}]})
    if reply.status == 400:
        refused(reply, 400, message=OPTIONAL_UNHANDLED)
    else:
        container(reply)


@SUITE.check("6.2", "the largest key is served as Status says")
def the_largest_size_is_served(target: Etsi014Target) -> None:
    size = member(target.status(), "max_key_size", int)
    if size > 1 << 16 or size % 8:
        raise NotApplicable(f"max_key_size is {size}")
    _expect_keys(target.new_keys(1, size), 1, size)


def _expect_default(target: Etsi014Target, reply: Reply) -> None:
    size = member(target.status(), "key_size", int)
    _expect_keys(container(reply), 1, size)


def _expect_keys(keys: list[Key], number: int, size: int) -> None:
    expect(len(keys) == number, f"{len(keys)} keys instead of {number}")
    sizes = {8 * len(key.secret) for key in keys}
    expect(sizes == {size}, f"keys of {', '.join(map(str, sorted(sizes)))} bits instead of {size}")


def _several(target: Etsi014Target) -> int:
    return max(1, min(3, int(member(target.status(), "max_key_per_request", int))))


def _another_size(target: Etsi014Target) -> int:
    """One that is not the default, if there is one."""
    status = target.status()
    size, low, high = (member(status, name, int) for name in ("key_size", "min_key_size", "max_key_size"))
    fitting = [each for each in (size + 8, size - 8) if low <= each <= high and each % 8 == 0]
    return int(fitting[0] if fitting else size)
