"""Two ends of a refreshed PSK that crash at any moment, lose, repeat and delay messages: they always meet again.

Only an end that is restored from a backup may have nothing that the other one has; a crash is no such thing.
"""

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyhop.core.keys import KeyMaterial
from keyhop.testing.psk import INTERVAL_S, PskEnds

# What goes on by itself comes more often than what goes wrong, so that most generations come about.
WEIGHTS = {"deliver": 6, "commit": 6, "time": 4, "reconnect": 2}
WEIGHTS |= {"relayed": 3} | dict.fromkeys(("half a handshake", "crash", "lose", "repeat", "late", "not relayed"), 1)
NAMES = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
steps = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([0, 1])), min_size=60, max_size=200)


class Life:
    """Both ends, and the newest generation that they have met with. `dry`: the stream has nothing, and bytes for the
    next one are relayed."""

    def __init__(self, *, dry: bool) -> None:
        self.dry = dry
        self.late: list[tuple[bytes, KeyMaterial]] = []
        """What alice has given up, and has not arrived yet."""
        self.random = random.Random(0)
        self.ends = PskEnds()
        self.met = 0
        self.begin()

    def begin(self) -> None:
        """With a lease, so that the next generation is few steps away."""
        if not self.dry and self.ends.alice.owned.available_units < 512:
            self.ends.produce(self.random.randbytes(8192))
        self.ends.connect()
        self.note_meeting()

    def step(self, name: str, side: int) -> None:
        ends = self.ends
        end = ends.both[side]
        match name:
            case "deliver":
                while ends.deliver(end):
                    pass
            case "commit":
                end.journal.flush()
            case "time":
                ends.clock.advance(INTERVAL_S)
                end.tick()
            case "relayed" if ends.alice.fetched:
                check, fresh, done = ends.alice.fetched.pop()
                ends.bob.refreshing.brought(check, fresh)
                done(None)
            case "not relayed" if ends.alice.fetched:
                check, fresh, done = ends.alice.fetched.pop()
                self.late.append((check, fresh))
                done("it did not arrive in time")
            case "late" if self.late:
                ends.bob.refreshing.brought(*self.late.pop())
            case "lose" if end.sent:
                end.sent.popleft()
            case "repeat" if end.sent:
                end.sent.append(end.sent[0])
            case "reconnect":
                ends.disconnect()
                self.begin()
            case "half a handshake":  # bob has seen all of it
                ends.disconnect()
                ends.bob.generations.used(ends.handshake())
                self.note_meeting()
                ends.alice.crash()
                self.begin()
            case "crash":
                end.crash()
                ends.disconnect()
                self.begin()

    def note_meeting(self) -> None:
        met = self.ends.bob.generations.in_use
        assert met >= self.met, "a generation that was over came back"
        self.met = met

    def end(self) -> None:
        """Left alone they go on to the next one, and nothing of what is over is left."""
        ends = self.ends
        self.step("crash", 0)
        self.step("crash", 1)
        ends.settle()
        for _ in range(100):
            ends.pass_time(INTERVAL_S)
            self.step("relayed", 0)
            ends.settle()
            if ends.alice.generations.current > self.met:
                break
        else:
            raise AssertionError("the key is not refreshed any more")
        before = self.met
        self.step("reconnect", 0)
        ends.flush()
        for end in ends.both:
            assert end.generations.here() == f"here: {before + 1}"
            assert end.owned.ledger.balances(end.owned.available_bytes)
            assert end.followed.ledger.balances(end.followed.available_bytes)


ANSWERED_LATE = "cA dA cB tA dB cA dA hA cB tA tA rA dB cA"
"""What one end has stored is said to the other one after that has given it up, and proposed another one."""


def told(brief: str) -> list[tuple[str, int]]:
    names = {"c": "commit", "d": "deliver", "t": "time", "h": "half a handshake", "r": "relayed"}
    return [(names[step[0]], "AB".index(step[1])) for step in brief.split()]


@example(told(ANSWERED_LATE), False)
@given(steps, st.booleans())
@settings(max_examples=300, deadline=None)
def test_they_always_have_a_generation_in_common(taken: list[tuple[str, int]], dry: bool) -> None:
    life = Life(dry=dry)
    for name, side in taken:
        life.step(name, side)
    life.end()
