"""From a link's configuration to its adapter."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from keyhop.core.clock import SystemClock
from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import LinkId
from keyhop.link.rate import RateAdapter, RateOptions
from keyhop.link.registry import kinds, make_adapter, options_type


@dataclass(frozen=True)
class Configured:
    id: LinkId
    kind: str
    options: RateOptions


def test_every_kind_has_options() -> None:
    assert kinds() == ("rate",)
    assert options_type("rate") is RateOptions


def test_makes_the_adapter_of_the_kind(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text("ab" * 32)
    link = Configured(LinkId("a-b"), "rate", RateOptions(path))
    assert isinstance(make_adapter(link, lab=True, clock=SystemClock()), RateAdapter)
    with pytest.raises(ConfigurationError, match="labs only"):
        make_adapter(link, lab=False, clock=SystemClock())


@pytest.mark.parametrize(("kind", "hint"), [("rat", 'did you mean "rate"?'), ("bb84", "the kinds are: rate")])
def test_unknown_kinds_are_refused(kind: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown kind") as refusal:
        make_adapter(Configured(LinkId("a-b"), kind, RateOptions(Path("x"))), lab=True, clock=SystemClock())
    assert refusal.value.hint == hint
