"""From a link's configuration to its adapter."""

from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.adapter import LinkEnd
from keyhop.link.rate import RateAdapter, RateOptions
from keyhop.link.registry import kinds, make_adapter, options_type
from keyhop.testing.link_end import LinkWire, link_end
from keyhop.testing.virtual_time import VirtualTime


def test_every_kind_has_options() -> None:
    assert kinds() == ("rate",)
    assert options_type("rate") is RateOptions


def end(directory: Path, *, lab: bool = True) -> LinkEnd:
    return link_end(LinkWire().near, directory / "memory", VirtualTime(), lab=lab)


def test_makes_the_adapter_of_the_kind(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text("ab" * 32)
    assert isinstance(make_adapter("rate", RateOptions(path), end(tmp_path)), RateAdapter)
    with pytest.raises(ConfigurationError, match="labs only"):
        make_adapter("rate", RateOptions(path), end(tmp_path, lab=False))


@pytest.mark.parametrize(("kind", "hint"), [("rat", 'did you mean "rate"?'), ("teleport", "the kinds are: rate")])
def test_unknown_kinds_are_refused(tmp_path: Path, kind: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown kind") as refusal:
        make_adapter(kind, RateOptions(Path("x")), end(tmp_path))
    assert refusal.value.hint == hint
