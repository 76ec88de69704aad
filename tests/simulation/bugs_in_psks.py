"""Planted where KMEs are authenticated by keys that are refreshed from the streams: in what both ends keep of them, and
in how one connection takes over from another."""

import pytest
from bugs_in_streams import Plant

from keyhop.core.streams import Taken
from keyhop.network.lines import Lines
from keyhop.network.psk.generations import Generation, PskGenerations
from keyhop.network.psk.refreshing import Refreshing
from keyhop.testing.simulation.lines import SimulatedLine


def generations_are_in_memory_only(patch: pytest.MonkeyPatch) -> None:
    """An end that starts anew has only what the operators gave to it."""

    def kept(self: PskGenerations, secrets: dict[int, bytes]) -> None:
        self._state.secrets = secrets

    patch.setattr(PskGenerations, "_keep", kept)


def the_generation_before_is_forgotten_at_once(patch: pytest.MonkeyPatch) -> None:
    """Before the other end has proved that it has the next one."""
    adopt = PskGenerations.adopt

    def hasty(self: PskGenerations, generation: Generation, now: float) -> None:
        adopt(self, generation, now)
        self._keep({generation.number: generation.secret.reveal()})

    patch.setattr(PskGenerations, "adopt", hasty)


def who_proposes_has_it(patch: pytest.MonkeyPatch) -> None:
    """The end that leads goes on to a generation before it knows that the other one has it."""
    took = Refreshing._took

    def hasty(self: Refreshing, taken: Taken | None) -> None:
        took(self, taken)
        if self._proposal is not None:
            self._generations.adopt(self._proposal.generation, self._clock.wall())

    patch.setattr(Refreshing, "_took", hasty)


def another_connection_ends_the_one_before(patch: pytest.MonkeyPatch) -> None:
    """Sessions begin anew with each generation."""

    def replacing(self: Lines[SimulatedLine], line: SimulatedLine) -> None:
        if self.heard is None:
            self._begin(line)
        else:
            self._replace(line)

    patch.setattr(Lines, "opened", replacing)


def a_key_is_refreshed_once(patch: pytest.MonkeyPatch) -> None:
    """Then never again."""
    adopt = PskGenerations.adopt

    def once(self: PskGenerations, generation: Generation, now: float) -> None:
        if generation.number == 1:
            adopt(self, generation, now)

    patch.setattr(PskGenerations, "adopt", once)


PLANTED: tuple[Plant, ...] = (
    generations_are_in_memory_only,
    the_generation_before_is_forgotten_at_once,
    who_proposes_has_it,
    another_connection_ends_the_one_before,
    a_key_is_refreshed_once,
)
"""All of them break what goes without saying: KMEs meet again, keys are refreshed, and no session ends of that."""
