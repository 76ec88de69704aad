"""How evenly those of one class are served."""

from collections.abc import Iterable


def jains_index(served: Iterable[float]) -> float:
    """(Σx)² / (n·Σx²): 1 when all have the same, 1/n when one has everything (Jain, Chiu and Hawe, 1984, equation 2).

    1 as well for nobody, and when nobody has anything.
    """
    values = list(served)
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0
