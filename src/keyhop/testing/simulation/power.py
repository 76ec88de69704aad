"""Where a machine may lose its power: at every point where its software touches the world.

The points are each read and each stage of a commit, each message and each answer that leaves. Between two of them
nothing can be seen from outside, so a crash at each of them is a crash at any point.
"""


class PowerCut(BaseException):
    """The machine is off. No software on it can catch this."""


class Power:
    """Counts the points down. `in_points` is how many of them the machine still passes; None while it is safe."""

    def __init__(self) -> None:
        self.in_points: int | None = None
        self.phase = ""

    def point(self, phase: str) -> None:
        """The software is about to touch the world. Raises PowerCut."""
        if self.in_points is None:
            return
        if self.in_points > 0:
            self.in_points -= 1
            return
        self.in_points = None
        self.phase = phase
        raise PowerCut
