"""Eve on the line of a running lab: nothing that she may know anything of reaches an SAE."""

import time
from collections.abc import Callable, Iterator

import pytest
from callers import Caller, management

from keyhop.lab import Inventory, Lab, Topology
from keyhop.lab.topology import Kme, Link, Sae
from keyhop.node.state import Disturbance, Eavesdropper, LinkInfo

LINK = "alice-bob"
DEADLINE_S = 60.0
ATTACKS = {
    "intercept-resend": "QBER",
    "photon-number-splitting": "",
    "blinding": "",
}
"""What the reason has to name."""


def ten_db() -> Topology:
    """Two sites, 10 dB, detectors without dead time; a round takes about half a second."""
    preparation = {"intensities": [0.381, 0.132], "probabilities": [0.52, 0.48], "z_probability": 0.802}
    options = {
        "block_bits": 1_600_000,
        "source": preparation,
        "channel": {"loss_db": 10.0},
        "detectors": {"z_probability": preparation["z_probability"]},
    }
    return Topology(
        kmes=(Kme("alice"), Kme("bob")),
        saes=(Sae("alicesae", "alice"), Sae("bobsae", "bob")),
        links=(Link(LINK, ("alice", "bob"), "bb84", options=options),),
        policy={"wait_s": 0.2},
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """At work, and undisturbed."""
    lab = Lab.up(ten_db(), tmp_path_factory.mktemp("eve"), timeout_s=180.0)
    yield lab
    lab.down()


def ends(lab: Lab) -> list[LinkInfo]:
    return [node.link(LINK) for node in lab.management(LINK).values()]


def wait_until(enough: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not enough():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def is_at_work(lab: Lab) -> bool:
    return all(end.state == "generating" for end in ends(lab))


def has_stopped(lab: Lab) -> bool:
    return all(end.state == "stopped" for end in ends(lab))


def rounds(lab: Lab) -> int:
    """Rounds and runs that came to an end, well or badly."""
    return min(int(end.details["rounds"]) + int(end.details["runs"]) for end in ends(lab))


def produced(inventory: Inventory) -> int:
    return sum(stream["produced"] for kme in ("alice", "bob") for stream in management(inventory, kme, "/v1/streams"))


def wait_until_placed(inventory: Inventory) -> None:
    """Until the blocks that came before are in streams; the node asks for what is late every second."""
    before = -1
    while before != (before := produced(inventory)):
        time.sleep(1.5)


def exchange(inventory: Inventory) -> None:
    (key,) = Caller.of(inventory, "alicesae").enc_keys("bobsae")
    assert Caller.of(inventory, "bobsae").dec_keys("alicesae", key["key_ID"]).body["keys"] == [key]


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_nothing_is_delivered_while_she_listens(lab: Lab, attack: str) -> None:
    inventory = lab.inventory()
    wait_until(lambda: is_at_work(lab), "the link does not work without her")
    exchange(inventory)
    for node in lab.management(LINK).values():
        node.stop_link(LINK)
    lab.disturb(LINK, lambda now: Disturbance(eavesdropper=Eavesdropper(attack)))  # type: ignore[arg-type]
    wait_until_placed(inventory)
    blocks, stock = [end.blocks for end in ends(lab)], produced(inventory)
    for node in lab.management(LINK).values():
        node.start_link(LINK)
    wait_until(lambda: has_stopped(lab), "she is not found out")
    assert all(ATTACKS[attack] in (end.reason or "") for end in ends(lab))
    if "QBER" in ATTACKS[attack]:
        assert all((end.qber or 0.0) > 0.08 for end in ends(lab))
    assert all(any(event.alarm for event in node.link_activity(LINK)) for node in lab.management(LINK).values())
    tried = rounds(lab)
    wait_until(lambda: rounds(lab) >= tried + 2, "the link does not try again")
    assert [end.blocks for end in ends(lab)] == blocks
    assert produced(inventory) == stock
    assert not any(node.readiness().ready for node in lab.management(LINK).values())

    lab.disturb(LINK, lambda now: Disturbance())
    wait_until(lambda: is_at_work(lab) and ends(lab)[0].blocks > blocks[0], "it does not recover when she leaves")
    exchange(inventory)


def test_a_line_that_is_cut_stops_and_recovers(lab: Lab) -> None:
    wait_until(lambda: is_at_work(lab), "the link does not work before")
    lab.disturb(LINK, lambda now: Disturbance(cut=True))
    wait_until(lambda: has_stopped(lab), "nobody notices")
    blocks = ends(lab)[0].blocks
    lab.disturb(LINK, lambda now: Disturbance())
    wait_until(lambda: is_at_work(lab) and ends(lab)[0].blocks > blocks, "it does not recover")
    exchange(lab.inventory())


def test_either_node_may_be_killed_in_the_middle_of_a_round(lab: Lab) -> None:
    for victim in ("alice", "bob"):
        wait_until(lambda: is_at_work(lab), "the link does not work before")
        lab.kill(victim)
        lab.start(victim)
        survivor = ends(lab)[0].blocks
        wait_until(lambda: is_at_work(lab) and ends(lab)[0].blocks > survivor, f"it does not recover from {victim}")  # noqa: B023
        exchange(lab.inventory())
