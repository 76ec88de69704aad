"""What a check is, how a suite runs, and its report."""

import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import httpx

type Level = Literal["required", "recommended"]
type Verdict = Literal["pass", "fail", "skipped"]


class NotConforming(Exception):
    """What was found instead of what was expected. Never holds key bytes."""


class NotApplicable(Exception):
    """Why a check cannot be made here."""


@dataclass(frozen=True, slots=True)
class Check[Target]:
    """One sentence of a standard that can be tried."""

    clause: str
    name: str
    level: Level
    expected: str
    run: Callable[[Target], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a check; `found` is empty when it passed, and the reason when it was skipped."""

    clause: str
    name: str
    level: Level
    verdict: Verdict
    expected: str
    found: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    standard: str
    results: tuple[Result, ...]

    @property
    def conforms(self) -> bool:
        """Whether nothing that is required failed, and something passed."""
        verdicts = [result.verdict for result in self.results if result.level == "required"]
        return "fail" not in verdicts and "pass" in verdicts

    def failed(self) -> Iterator[Result]:
        """Those that failed, recommended ones too."""
        return (result for result in self.results if result.verdict == "fail")

    def count(self, verdict: Verdict) -> int:
        """How many had that verdict."""
        return sum(result.verdict == verdict for result in self.results)


class Suite[Target]:
    """The checks of one standard, in their order."""

    def __init__(self, standard: str) -> None:
        self.standard = standard
        self.checks: list[Check[Target]] = []

    def check(
        self, clause: str, expected: str, level: Level = "required"
    ) -> Callable[[Callable[[Target], None]], Callable[[Target], None]]:
        """Adds a function as a check; its name, with spaces, is the check's."""

        def add(run: Callable[[Target], None]) -> Callable[[Target], None]:
            self.checks.append(Check(clause, run.__name__.replace("_", " "), level, expected, run))
            return run

        return add

    def run(self, target: Target, told: Callable[[Result], None] = lambda result: None) -> Report:
        """Makes all checks, one after the other; `told` hears of each."""
        results = []
        for check in self.checks:
            results.append(result := _made(check, target))
            told(result)
        return Report(self.standard, tuple(results))


def expect(condition: bool, found: str) -> None:
    """Raises NotConforming."""
    if not condition:
        raise NotConforming(found)


def one_of(values: Iterable[object]) -> str:
    """`200 or 202`."""
    return " or ".join(map(str, values))


def _made[Target](check: Check[Target], target: Target) -> Result:
    def result(verdict: Verdict, found: str = "") -> Result:
        return Result(check.clause, check.name, check.level, verdict, check.expected, found)

    try:
        check.run(target)
    except NotApplicable as reason:
        return result("skipped", str(reason))
    except NotConforming as found:
        return result("fail", str(found))
    except (httpx.HTTPError, ssl.SSLError, OSError) as failure:
        return result("fail", f"no answer: {_plain(failure)}")
    return result("pass")


def _plain(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"[:200]
