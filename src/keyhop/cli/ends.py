"""The nodes that a command about links speaks to: one by its management address, or those of a lab."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from keyhop.cli.place import url_or_lab
from keyhop.core.errors import ConfigurationError
from keyhop.management import Management, NotAnswering, Refused


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
    url, lab = url_or_lab(context, url, lab)
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
