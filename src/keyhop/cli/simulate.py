"""`keyhop simulate`: the production code on simulated machines, under faults, with every promise checked."""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keyhop.cli.output import print_json, print_line, print_table
from keyhop.core.errors import KeyhopError
from keyhop.testing.simulation import NETWORKS, Outcome, draw, run, shrink, story
from keyhop.testing.simulation.many import Batch, run_many

app = typer.Typer(add_completion=False)


@dataclass(slots=True)
class _Sum:
    batch: Batch = field(default_factory=Batch)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schedules": self.batch.schedules,
            "seconds": round(self.seconds, 3),
            "schedules_per_s": round(self.batch.schedules / self.seconds, 2) if self.seconds else None,
            "happened": dict(sorted(self.batch.counts.items())),
        }


@app.command()
def simulate(
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many schedules to run.")] = 1000,
    first: Annotated[int, typer.Option("--from", envvar="KEYHOP_SIMULATE_FROM", min=0, help="The first seed.")] = 0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Run this seed alone.")] = None,
    network: Annotated[
        str | None, typer.Option("--network", help=f"Only this network: {', '.join(NETWORKS)}. Default: drawn.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = os.cpu_count() or 1,
    only: Annotated[
        str | None, typer.Option("--only", help="With --seed: only these actions of its schedule, as 3,7,12.")
    ] = None,
    tell: Annotated[
        bool, typer.Option("--story", envvar="KEYHOP_SIMULATE_STORY", help="With --seed: tell what happens.")
    ] = False,
    messages: Annotated[bool, typer.Option("--messages", help="In a story: also every message.")] = False,
    as_json: Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="Print JSON.")] = False,
) -> None:
    """Run seeded schedules of requests and faults. A seed is a run, to the last byte; exit code 1 if a promise breaks.

    The first schedule that breaks one is shortened and told, with the command that repeats it.
    """
    if network is not None and network not in NETWORKS:
        raise typer.BadParameter(f"there is no network {network}; there are {', '.join(NETWORKS)}")
    if seed is None and (tell or only is not None):
        raise typer.BadParameter("--story and --only are of one seed: name it with --seed")
    if seed is not None:
        schedule = draw(seed, network)
        kept = _numbers(only, len(schedule.actions))
        outcome = run(schedule, kept)
        if tell and not as_json:
            _tell(outcome, messages=messages)
        _end(outcome, network, kept, as_json=as_json, messages=messages)
        return
    total, broken = _run_all(range(first, first + seeds), jobs, network)
    if broken is None:
        _print_sum(total, as_json=as_json)
        return
    outcome, kept = shrink(run(draw(broken, network)))
    if not as_json:
        _print_sum(total, as_json=False)
        _tell(outcome, messages=messages)
    _end(outcome, network, kept, as_json=as_json, messages=messages)


def _run_all(seeds: range, jobs: int, network: str | None) -> tuple[_Sum, int | None]:
    """All schedules, or those up to the first that breaks a promise."""
    total, began = _Sum(), time.monotonic()
    columns = (TextColumn("schedules"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]} per second"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(seeds), rate="…")
        for batch in run_many(seeds, jobs, network):
            total.batch.schedules += batch.schedules
            total.batch.counts += batch.counts
            total.seconds = time.monotonic() - began
            progress.update(task, advance=batch.schedules, rate=f"{total.batch.schedules / total.seconds:.0f}")
            if batch.broken:
                return total, batch.broken[0]
    return total, None


def _print_sum(total: _Sum, *, as_json: bool) -> None:
    if as_json:
        print_json({**total.document(), "violation": None})
        return
    rate = total.batch.schedules / total.seconds
    columns = ("schedules", "seconds", "per second", "requests", "messages", "crashes", "restores")
    counts = total.batch.counts
    crashes = sum(count for what, count in counts.items() if what.startswith(("crashed", "killed")))
    row = (total.batch.schedules, f"{total.seconds:.1f}", f"{rate:.0f}", counts["asked"], counts["sent"], crashes)
    print_table(columns, [(*row, counts["restored"])])


def _tell(outcome: Outcome, *, messages: bool) -> None:
    setting = outcome.schedule.setting
    print_line(f"seed {setting.seed}: network {setting.network}, {setting.disk} disks", None, as_json=False)
    for line in story(outcome.trace, messages=messages):
        print_line(line, None, as_json=False)


def _end(outcome: Outcome, network: str | None, kept: Collection[int] | None, *, as_json: bool, messages: bool) -> None:
    """Says whether a promise was broken, and how to see that again."""
    seed, violation = outcome.schedule.setting.seed, outcome.violation
    replay = f"keyhop simulate --seed {seed} --story"
    replay += f" --network {network}" if network else ""
    replay += f" --only {','.join(map(str, sorted(kept)))}" if kept is not None else ""
    if as_json:
        broken = {"promise": violation.promise, "what": str(violation)} if violation else None
        lines = list(story(outcome.trace, messages=messages))
        digest = outcome.trace.digest()
        print_json({"seed": seed, "digest": digest, "violation": broken, "replay": replay, "story": lines})
    elif violation is None:
        print_line(f"seed {seed} keeps every promise; its trace is {outcome.trace.digest()}", None, as_json=False)
    if violation is not None:
        raise KeyhopError(f"seed {seed} breaks a promise: {violation}", hint=replay)


def _numbers(text: str | None, actions: int) -> list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(number) for number in text.split(",") if number]
    except ValueError:
        raise typer.BadParameter(f"--only {text}: shall be numbers of actions, as 3,7,12") from None
    if strange := [number for number in numbers if not 0 <= number < actions]:
        raise typer.BadParameter(f"--only {text}: there is no action {strange[0]}; they are 0 to {actions - 1}")
    return numbers
