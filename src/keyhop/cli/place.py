"""Which running node a command asks: by its management address, or by name in a lab. A flag outdoes the environment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyhop.core.errors import ConfigurationError
from keyhop.core.names import hint_of_names

if TYPE_CHECKING:
    from keyhop.management import Management  # not needed by a node that starts, and slow to import

Url = Annotated[
    str | None, typer.Option("--url", envvar="KEYHOP_MANAGEMENT", help="A node's management address, http://host:port.")
]
LabOption = Annotated[Path | None, typer.Option("--lab", envvar="KEYHOP_LAB", help="The directory of a lab, instead.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="With --lab: which of its nodes, by the ID of its KME.")]


def find_node(context: typer.Context, url: str | None, lab: Path | None, node: str | None) -> "Management":
    """The one node that the options name. Raises BadParameter, ConfigurationError."""
    from keyhop.management import Management

    url, lab = url_or_lab(context, url, lab)
    if url is not None:
        if node is not None:
            raise typer.BadParameter("--node is for a node of a lab: give --lab too, and no --url")
        return Management(url)
    if lab is None:
        raise typer.BadParameter("give --url, the management address of a node, or --lab and --node")
    if node is None:
        raise typer.BadParameter("--lab needs --node: which of its nodes to ask")
    from keyhop.lab import Lab  # it brings the whole PKI with it

    nodes = Lab.load(lab).management(down=True)
    if node not in nodes:
        hint = hint_of_names(node, [*nodes], "its nodes are")
        raise ConfigurationError(f"there is no node `{node}` in this lab", hint=hint)
    return nodes[node]


def url_or_lab(context: typer.Context, url: str | None, lab: Path | None) -> tuple[str | None, Path | None]:
    """One of the two, or neither. Raises BadParameter where it is open which is meant."""
    if url is None or lab is None:
        return url, lab
    given = {name: is_flag(context, name) for name in ("url", "lab")}
    if given["url"] == given["lab"]:
        raise typer.BadParameter("give either --url or --lab, not both")
    return (url, None) if given["url"] else (None, lab)


def is_flag(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, not only in the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
