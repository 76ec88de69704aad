"""`keyhop policy`: why two SAEs may or may not have a key."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from keyhop.cli.output import print_gap, print_json, print_line, print_table
from keyhop.cli.place import LabOption, NodeOption, Url, find_node, is_flag
from keyhop.core.ids import sae_id
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion, PolicyStep

app = typer.Typer(help="Ask why two SAEs may or may not have a key.", no_args_is_help=True)

_MARKS = {"yes": "yes", "no": "NO", "note": ""}


@app.callback()
def policy() -> None:
    """Ask why two SAEs may or may not have a key."""


@app.command()
def check(
    context: typer.Context,
    master: Annotated[str, typer.Option("--master", help="The SAE that asks for a key.")],
    slaves: Annotated[list[str], typer.Option("--slave", help="The SAE to share it with; may be repeated.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="A node.toml: what it would allow.", dir_okay=False)
    ] = None,
    url: Url = None,
    lab: LabOption = None,
    node: NodeOption = None,
    size: Annotated[int | None, typer.Option(help="Bits per key (the policy's default).", min=1)] = None,
    number: Annotated[int | None, typer.Option(help="How many keys (1).", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="As JSON.")] = False,
) -> None:
    """Tell step by step why MASTER may or may not have a key to share with SLAVE, or one with several. Exit 1 when
    it may not.

    With --config, what a file would allow; with --url, or --lab and --node, what a running node allows now, and has.
    """
    slave, *others = map(sae_id, slaves)
    question = PolicyQuestion(sae_id(master), slave, size, number, tuple(others))
    if config is None:
        answer = find_node(context, url, lab, node).policy(question)
    elif any(is_flag(context, name) for name in ("url", "lab", "node")):
        raise typer.BadParameter("give either --config or a node that runs, not both")
    else:
        answer = _of_file(config, question)
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        _tell(answer)
    if not answer.possible:
        raise typer.Exit(1)


def _of_file(config: Path, question: PolicyQuestion) -> PolicyCheck:
    from keyhop.node.config import load_config
    from keyhop.node.policy.check import check_config

    return check_config(load_config(config), question)


def _tell(answer: PolicyCheck) -> None:
    """The steps, what holds for the pair, and the end of the story; of several slaves, which of them each is about."""
    tables = (
        (("step", "", "what was found"), _rows(answer.steps)),
        (("field", "value", "given by"), _fields(answer)),
        (("besides", "", "what was found"), _rows(answer.beside)),
    )
    for titles, rows in tables:
        if rows and answer.additional_slaves:
            print_table(("slave", *titles), rows)
        elif rows:
            print_table(titles, [row[1:] for row in rows])
        if rows:
            print_gap()
    print_line(_result(answer), None, as_json=False)


def _result(answer: PolicyCheck) -> str:
    against = [
        step.about + (f" of {step.slave}" if step.slave else "") for step in answer.steps if step.verdict == "no"
    ]
    when = "now" if answer.live else "by its configuration"
    result = "may have such a key" if answer.possible else f"may not have such a key ({', '.join(against)})"
    slaves = ", ".join((answer.slave, *answer.additional_slaves))
    return f"KME {answer.kme}, {when}: {answer.master} {result}, to share with {slaves}"


def _rows(steps: list[PolicyStep]) -> list[tuple[str, ...]]:
    return [(step.slave or "", step.about, _MARKS[step.verdict], step.text) for step in steps]


def _fields(answer: PolicyCheck) -> list[tuple[str, ...]]:
    """What holds for all slaves alike stands there once, with none of them."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for field in answer.fields:
        alike.setdefault((field.name, field.value, field.given_by), []).append(field.slave or "")
    rows = [
        (", ".join(slaves) if len(slaves) <= len(answer.additional_slaves) else "", *what)
        for what, slaves in alike.items()
    ]
    names = [field.name for field in answer.fields]
    return sorted(rows, key=lambda row: names.index(row[1]))
