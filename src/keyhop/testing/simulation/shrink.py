"""Takes actions out of a schedule that breaks a promise, as long as it still breaks the same one."""

from collections.abc import Callable, Sequence

from keyhop.testing.simulation.run import Outcome, run

MAX_RUNS = 400


def shrink(outcome: Outcome, tried: Callable[[int, int], None] = lambda runs, left: None) -> tuple[Outcome, list[int]]:
    """A run with as few actions as could be found, and which. `tried` hears of (runs so far, actions left)."""
    assert outcome.violation is not None
    promise, runs = outcome.violation.promise, 0
    kept, best = list(range(outcome.actions)), outcome
    size = max(len(kept) // 2, 1)
    while kept and runs < MAX_RUNS:
        removed = False
        for rest in _without(kept, size):
            runs += 1
            shorter = run(outcome.schedule, frozenset(rest))
            tried(runs, len(kept))
            if shorter.violation is not None and shorter.violation.promise == promise:
                kept, best, removed = rest[: shorter.actions], shorter, True
                break
            if runs >= MAX_RUNS:
                break
        if not removed:
            if size == 1:
                break
            size //= 2
        else:
            size = min(size, max(len(kept) // 2, 1))
    return best, kept


def _without(kept: Sequence[int], size: int) -> list[list[int]]:
    """The actions without each run of `size` of them, the last ones first: what came late matters most."""
    return [[*kept[:start], *kept[start + size :]] for start in range(len(kept) - size, -size, -size) if start >= 0] + (
        [list(kept[len(kept) % size :])] if len(kept) % size else []
    )
