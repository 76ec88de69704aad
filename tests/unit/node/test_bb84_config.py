"""A link of kind bb84 in node.toml: its tables, and what errors say of them."""

from pathlib import Path

import pytest
from node_text import ALICE

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import LinkId
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, FibreOptions, SourceOptions
from keyhop.link.bb84.settings import Bb84Options, agreed_text, check_options, differences
from keyhop.node.config import parse_config

TEXT = (
    ALICE
    + """lab = true
[[kmes]]
id = "bob"
peer_address = "bob.example:18445"
[[links]]
id = "alice-bob"
peer = "bob"
kind = "bb84"
role = "transmitter"
enrolment_file = "enrolment"
pulses_file = "/etc/pulses"
block_bits = 200000
[links.source]
clock_hz = 1.25e9
intensities = [0.5, 0.1, 0.0]
probabilities = [0.8, 0.1, 0.1]
[links.channel]
medium = "fibre"
[links.channel.fibre]
length_km = 50
[links.detectors]
visibility = 0.98
"""
)


def options(text: str = TEXT) -> Bb84Options:
    (link,) = parse_config(text, Path("/etc/keyhop")).links
    assert isinstance(link.options, Bb84Options)
    return link.options


def refusal(old: str, new: str) -> ConfigurationError:
    assert old in TEXT
    with pytest.raises(ConfigurationError) as failure:
        check_options(LinkId("alice-bob"), options(TEXT.replace(old, new, 1)), lab=True)
    return failure.value


def test_tables_are_taken_as_written() -> None:
    assert options() == Bb84Options(
        "transmitter",
        Path("/etc/keyhop/enrolment"),
        Path("/etc/pulses"),
        block_bits=200_000,
        source=SourceOptions(clock_hz=1.25e9, intensities=(0.5, 0.1, 0.0), probabilities=(0.8, 0.1, 0.1)),
        channel=ChannelOptions(medium="fibre", fibre=FibreOptions(length_km=50.0)),
        detectors=DetectorOptions(visibility=0.98),
    )
    check_options(LinkId("alice-bob"), options(), lab=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("length_km = 50", "lenght_km = 50", 'unknown key "lenght_km" in [links.channel.fibre] of alice-bob'),
        ("visibility =", "visibilty =", 'unknown key "visibilty" in [links.detectors] of alice-bob'),
        ("[links.detectors]", "[links.detector]", 'unknown key "detector" in [[links]] alice-bob'),
        (
            "visibility = 0.98",
            "visibility = 98",
            "[links.detectors] of alice-bob visibility = 98: shall be a number over 0 and at most 1",
        ),
        (
            "length_km = 50",
            "length_km = inf",
            "[links.channel.fibre] of alice-bob length_km = inf: shall be a number from 0 to 1000",
        ),
        (
            "[0.5, 0.1, 0.0]",
            "[0.5]",
            "[links.source] of alice-bob intensities = [0.5]: shall be a list of length from 2 to 3, each a number",
        ),
        ("[0.5, 0.1, 0.0]", "[nan, 0.1, 0.0]", "[links.source] of alice-bob intensities"),
        ("[0.5, 0.1, 0.0]", "[0.1, 0.5, 0.0]", "link alice-bob: the intensities shall fall"),
        ("[0.8, 0.1, 0.1]", "[0.8, 0.1]", "link alice-bob: 3 intensities with 2 probabilities"),
        ('medium = "fibre"', 'medium = "loss"', "link alice-bob: the line is described as fibre"),
        ('"transmitter"', '"sender"', 'role = "sender": shall be "transmitter" or "receiver"'),
        ("block_bits = 200000", "block_bits = 200", "block_bits = 200: shall be a whole number from 10000 to 40000000"),
        ('enrolment_file = "enrolment"\n', "", '[[links]] alice-bob needs "enrolment_file"'),
        ("[links.source]", "[[links.source]]", "[links.source] of alice-bob shall be a table"),
    ],
)
def test_what_cannot_be_used_is_named(old: str, new: str, message: str) -> None:
    assert message in refusal(old, new).message


def test_it_is_for_labs_unless_forced() -> None:
    with pytest.raises(ConfigurationError, match="labs only"):
        check_options(LinkId("alice-bob"), options(), lab=False)
    forced = options(TEXT.replace("block_bits", "force = true\nblock_bits"))
    check_options(LinkId("alice-bob"), forced, lab=False)


def test_settings_that_differ_are_named() -> None:
    ours = agreed_text(options())
    assert differences(ours, agreed_text(options(TEXT.replace("200000", "300000")))) == "block_bits"
    changed = options(TEXT.replace("1.25e9", "1e9").replace("[0.5, 0.1,", "[0.6, 0.1,"))
    assert differences(ours, agreed_text(changed)) == "source.clock_hz, source.intensities"


def test_a_line_and_detectors_are_the_receivers_own_business() -> None:
    other = options(TEXT.replace("length_km = 50", "length_km = 51").replace("visibility = 0.98", ""))
    assert agreed_text(other) == agreed_text(options())


@pytest.mark.parametrize("theirs", ["", "[]", "{", "[" * 5000, '{"protocol": 2}', "null"])
def test_settings_of_a_far_end_that_lies_are_taken_for_different(theirs: str) -> None:
    assert differences(agreed_text(options()), theirs)
