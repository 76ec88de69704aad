"""What a check is, how a suite runs, and its report."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import httpx

MOST_SILENT = 3
MOST_SILENT_LATER = 10
"""Once something has passed: where two servers are asked, one of them may be silent."""
MAX_FOUND = 300
_NO_ANSWER = (httpx.HTTPError, OSError)

type Level = Literal["required", "recommended"]
type Verdict = Literal["pass", "fail", "skipped"]


class NotConforming(Exception):
    """What was found instead of what was expected. Never holds key bytes."""


class NotApplicable(Exception):
    """Why a check cannot be made here."""


class NotAdmitted(NotConforming):
    """The server does not know who asks, so nothing else can be tried."""


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
        """Makes all checks, one after the other; `told` hears of each.

        Those are skipped that come after one which found that the server does not know us, or after so many in a row
        that had no answer.
        """
        results: list[Result] = []
        silent, most, stopped = 0, MOST_SILENT, ""
        for check in self.checks:
            if stopped:
                result, failure = _result(check, "skipped", stopped), None
            else:
                result, failure = _made(check, target)
            results.append(result)
            told(result)
            most = MOST_SILENT_LATER if result.verdict == "pass" else most
            silent = silent + 1 if isinstance(failure, _NO_ANSWER) else 0
            if isinstance(failure, NotAdmitted):
                stopped = f"not tried: the server did not let us in at “{check.name}”"
            elif silent == most:
                stopped = f"not tried: there was no answer {most} times in a row"
        return Report(self.standard, tuple(results))


def expect(condition: bool, found: str) -> None:
    """Raises NotConforming."""
    if not condition:
        raise NotConforming(found)


def one_of(values: Iterable[object]) -> str:
    """`200 or 202`."""
    return " or ".join(map(str, values))


def _made[Target](check: Check[Target], target: Target) -> tuple[Result, Exception | None]:
    """What came of it, and what it ended with. A server may answer anything, so a check may stumble over it anyhow."""
    try:
        check.run(target)
    except NotApplicable as reason:
        return _result(check, "skipped", str(reason)), None
    except NotConforming as found:
        return _result(check, "fail", str(found)), found
    except _NO_ANSWER as failure:
        return _result(check, "fail", f"no answer: {type(failure).__name__}: {failure}"), failure
    except Exception as failure:  # noqa: BLE001 - its text may have what was answered, so only its type is told
        return _result(check, "fail", f"an answer of another form than expected ({type(failure).__name__})"), failure
    return _result(check, "pass"), None


def _result[Target](check: Check[Target], verdict: Verdict, found: str = "") -> Result:
    text = "".join(each if each.isprintable() else " " for each in found[:MAX_FOUND])
    return Result(check.clause, check.name, check.level, verdict, check.expected, text)
