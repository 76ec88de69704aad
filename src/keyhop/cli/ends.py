"""The nodes that a command about links speaks to: one by its management address, or those of a lab."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from keyhop.core.errors import ConfigurationError
from keyhop.management import Management, NotAnswering, Refused

Url = Annotated[
    str | None, typer.Option("--url", envvar="KEYHOP_MANAGEMENT", help="A node's management address, http://host:port.")
]
LabOption = Annotated[Path | None, typer.Option("--lab", envvar="KEYHOP_LAB", help="The directory of a lab, instead.")]


@dataclass(frozen=True, slots=True)
class Absent:
    """A node of the lab that cannot be asked, and why: `does not run` or `does not answer`."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ends:
    """By their IDs. `links` are those of a lab, with their two ends; of a single node it is empty."""

    nodes: dict[str, Management]
    links: dict[str, tuple[str, str]]
    stopped: Callable[[], list[str]]

    def each[T](self, ask: Callable[[Management], T]) -> tuple[list[tuple[str, T]], list[Absent]]:
        """What each node that answers says, and who does not. Raises NotAnswering when that is a single node."""
        found, silent = [], []
        for name, node in self.nodes.items():
            try:
                found.append((name, ask(node)))
            except NotAnswering:
                if not self.links:
                    raise
                silent.append(name)
        stopped = self.stopped() if silent else []
        return found, [Absent(name, "does not run" if name in stopped else "does not answer") for name in silent]

    def each_about[T](self, link: str, ask: Callable[[Management], T]) -> tuple[list[tuple[str, T]], list[Absent]]:
        """The same of one link. Raises ConfigurationError when there is none of that ID."""
        try:
            return self.each(ask)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            found, _ = self.each(Management.links)
            known = ", ".join(dict.fromkeys(each.id for _, links in found for each in links))
            raise ConfigurationError(f"there is no link `{link}`", hint=f"the links are: {known or 'none'}") from None


def find_ends(context: typer.Context, url: str | None, lab: Path | None, link: str | None = None) -> Ends:
    """The nodes that the options name, of a lab those at the ends of `link`. A flag wins over the environment.

    Raises BadParameter, ConfigurationError, NotAnswering.
    """
    if url is not None and lab is not None:
        given = {name: _is_flag(context, name) for name in ("url", "lab")}
        if given["url"] == given["lab"]:
            raise typer.BadParameter("give either --url or --lab, not both")
        url, lab = (url, None) if given["url"] else (None, lab)
    if url is not None:
        node = Management(url)
        return Ends({node.node().id: node}, {}, list)
    if lab is None:
        raise typer.BadParameter("give --url, the management address of a node, or --lab")
    from keyhop.lab import Lab  # it brings the whole PKI with it

    found = Lab.load(lab)
    if not found.running():
        raise ConfigurationError(f"no node of the lab in {lab} runs", hint=f"bring it up: keyhop lab up --dir {lab}")
    return Ends(found.management(link, down=True), found.links(), found.stopped)


def _is_flag(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
