"""What comes in of reports is bounded before it is believed."""

from typing import Any

import msgspec
import pytest

from keyhop.core.ids import KmeId
from keyhop.network.topology.reports import MAX_HEARS, MAX_LINKS, MAX_NUMBER, LinkReport, NodeReport, Report

_decoder = msgspec.msgpack.Decoder(Report)
LINK: list[Any] = ["bob", True, 4096, 1000, 4]
GOOD: list[Any] = ["Report", ["alice", 1, 2, [LINK]], 0, []]


def decoded(value: Any) -> Report:
    return _decoder.decode(msgspec.msgpack.encode(value))


def changed(value: Any, path: tuple[int, ...], new: Any) -> Any:
    if not path:
        return new
    first, *rest = path
    return [changed(item, tuple(rest), new) if n == first else item for n, item in enumerate(value)]


def test_a_report_is_the_same_behind_the_wire() -> None:
    links = (LinkReport(KmeId("bob"), True, 4096, 1000), LinkReport(KmeId("carol"), False, 0, 0, 7))
    report = Report(NodeReport(KmeId("alice"), 1, 2, links), 30, (KmeId("bob"),))
    assert _decoder.decode(msgspec.msgpack.encode(report)) == report


def test_the_good_one_of_the_next_test_is_good() -> None:
    assert decoded(GOOD).report.links == (LinkReport(KmeId("bob"), True, 4096, 1000, 4),)


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ((0,), "Hello"),
        ((1, 0), ""),
        ((1, 0), "a" * 65),
        ((1, 0), "two words"),
        ((1, 0), "\x1b[2J"),
        ((1, 0), "bob"),
        ((1, 1), -1),
        ((1, 1), MAX_NUMBER + 1),
        ((1, 2), 1.5),
        ((1, 3), [LINK, LINK]),
        ((1, 3), [changed(LINK, (0,), f"n{n}") for n in range(MAX_LINKS + 1)]),
        ((1, 3, 0, 0), "new\nline"),
        ((1, 3, 0, 1), 1),
        ((1, 3, 0, 2), -1),
        ((1, 3, 0, 3), MAX_NUMBER + 1),
        ((1, 3, 0, 4), 8),
        ((1, 3, 0, 4), -1),
        ((2,), -1),
        ((3,), [""]),
        ((3,), ["n"] * (MAX_HEARS + 1)),
    ],
)
def test_what_is_out_of_bounds_is_refused(path: tuple[int, ...], new: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(changed(GOOD, path, new))


def test_a_field_too_many_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded([*GOOD, 1])
