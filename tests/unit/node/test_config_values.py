"""What values may be, in words."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta

from keyhop.node.config.values import nearest, shown, wanted


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Literal["json", "console"], '"json" or "console"'),
        (Annotated[int, Meta(ge=8, le=64, multiple_of=8)], "a whole number from 8 to 64, in steps of 8"),
        (Annotated[int, Meta(description="Anything.")], "a whole number"),
        (Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="Maybe.")], "a number at least 0"),
        (Annotated[float | None, Meta(gt=0)], "a number over 0"),
        (Annotated[float, Meta(gt=0, lt=1)], "a number over 0 and under 1"),
        (Annotated[tuple[float, ...], Meta(min_length=2, max_length=3)], "a list of length from 2 to 3, each a number"),
        (Annotated[str, Meta(pattern="^https://[a-z]+$")], "an address such as https://kme.example:8443"),
        (bool, "true or false"),
    ],
)
def test_what_is_wanted(kind: object, words: str) -> None:
    assert wanted(kind).startswith(words)


def test_of_fixed_values_the_nearest_one_is_named() -> None:
    kind = Annotated[Literal["cascade", "ldpc"], Meta(description="Error correction.")]
    assert nearest(kind, "cascde") == 'did you mean "cascade"?'
    assert nearest(kind, "LDPC") == 'did you mean "ldpc"?'
    assert nearest(kind, 3) == "Error correction."


def test_values_are_shown_short_and_as_in_the_file() -> None:
    values: list[object] = ["a", True, 1.5, {}]
    assert [shown(value) for value in values] == ['"a"', "true", "1.5", "a table"]
    assert len(shown("x" * 100_000)) < 100
