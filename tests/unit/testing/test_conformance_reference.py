"""The reference page lists every check of the suites, as it is."""

from pathlib import Path

import pytest

from keyhop.testing.conformance import etsi014, etsi020
from keyhop.testing.conformance.checks import Suite

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "conformance.md"


@pytest.mark.parametrize("suite", [etsi014.SUITE, etsi020.SUITE], ids=["etsi014", "etsi020"])
def test_every_check_is_on_the_page(suite: Suite[object]) -> None:
    page = PAGE.read_text()
    for check in suite.checks:
        level = "" if check.level == "required" else "recommended"
        assert f"| {check.clause} | {check.name} | {level} | {check.expected} |" in page
    assert len({check.name for check in suite.checks}) == len(suite.checks)
