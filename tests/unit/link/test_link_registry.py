"""From a link's configuration to its adapter."""

import subprocess
import sys
from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.adapter import LinkEnd
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.rate import RateAdapter, RateOptions
from keyhop.link.registry import kinds, make_adapter, options_type
from keyhop.link.vendors.settings import Etsi004Options, Etsi014Options, FilesOptions
from keyhop.testing.link_end import LinkWire, link_end
from keyhop.testing.virtual_time import VirtualTime


def test_every_kind_has_options() -> None:
    assert kinds() == ("rate", "bb84", "etsi014", "etsi004", "files")
    assert options_type("rate") is RateOptions
    assert options_type("bb84") is Bb84Options
    assert options_type("etsi014") is Etsi014Options
    assert options_type("etsi004") is Etsi004Options
    assert options_type("files") is FilesOptions


def end(directory: Path, *, lab: bool = True) -> LinkEnd:
    return link_end(LinkWire().near, directory / "memory", VirtualTime(), lab=lab)


def test_makes_the_adapter_of_the_kind(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text("ab" * 32)
    assert isinstance(make_adapter("rate", RateOptions(path), end(tmp_path)), RateAdapter)
    with pytest.raises(ConfigurationError, match="labs only"):
        make_adapter("rate", RateOptions(path), end(tmp_path, lab=False))


def test_a_node_without_numpy_runs_the_other_kinds() -> None:
    """In a process of its own, where the extra's packages cannot be imported."""
    script = """
import sys
for name in ("numpy", "numba", "scipy"):
    sys.modules[name] = None
from pathlib import Path
from types import SimpleNamespace
from keyhop.core.errors import ConfigurationError
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.vendors.settings import Etsi004Options, Etsi014Options, FilesOptions
from keyhop.link.registry import make_adapter, options_type
import keyhop.node.daemon
assert options_type("bb84") is Bb84Options
try:
    make_adapter("bb84", Bb84Options("transmitter", Path("e"), Path("p")), SimpleNamespace(link="alice-bob", lab=True))
except ConfigurationError as refusal:
    print(refusal.message, refusal.hint)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith("link alice-bob: kind 'bb84' needs num")
    assert "keyhop[bb84]" in said


@pytest.mark.parametrize(
    ("kind", "hint"),
    [("rat", 'did you mean "rate"?'), ("teleport", "the kinds are: rate, bb84, etsi014, etsi004, files")],
)
def test_unknown_kinds_are_refused(tmp_path: Path, kind: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown kind") as refusal:
        make_adapter(kind, RateOptions(Path("x")), end(tmp_path))
    assert refusal.value.hint == hint
