"""`keyhop link`: the QKD links of a node, or of a lab, as their operator sees them.

The node is named by its management address (`--url`), or the whole lab by its directory (`--lab`): then both ends of a
link are shown, started and stopped.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from keyhop.cli.node import AsJson, link_row
from keyhop.cli.output import print_json, print_line, print_table
from keyhop.core.errors import ConfigurationError
from keyhop.management import Management, NotAnswering, Refused
from keyhop.node.state import LinkActivity, LinkInfo

app = typer.Typer(
    help="QKD links: their state, SBR and QBER, what happened; start and stop them.", no_args_is_help=True
)

Link = Annotated[str, typer.Argument(help="The ID of the link.")]
Url = Annotated[
    str | None, typer.Option("--url", envvar="KEYHOP_MANAGEMENT", help="A node's management address, http://host:port.")
]
LabOption = Annotated[Path | None, typer.Option("--lab", envvar="KEYHOP_LAB", help="The directory of a lab, instead.")]

_EVENTS = 20
_WATCH_S = 1.0


@app.command("list")
def list_links(url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Show every link: its state, secret bit rate and QBER."""
    found = [(name, link) for name, node in _nodes(url, lab).items() for link in node.links()]
    if as_json:
        print_json([{"node": name, **_plain(link)} for name, link in found])
    else:
        columns = ("node", "link", "peer", "kind", "state", "SBR kbit/s", "QBER %", "blocks")
        print_table(columns, [(name, *link_row(link)) for name, link in found])


@app.command()
def show(link: Link, url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Show all about a link, and what happened on it last."""
    found = _each(link, url, lab, lambda node: (node.link(link), node.link_activity(link)))
    if as_json:
        print_json([{"node": name, **_plain(info), "activity": _plain(events)} for name, (info, events) in found])
        return
    for name, (info, events) in found:
        print_table(("link", info.id), [("at node", name), *_facts(info)])
        print_table(("time", "event"), [(_time(event.at), _event(event)) for event in events[-_EVENTS:]])


@app.command()
def start(link: Link, url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Let a link produce key."""
    _told(_each(link, url, lab, lambda node: node.start_link(link)), as_json)


@app.command()
def stop(link: Link, url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Let a link rest, until it is started or its node is. Keys in stock are still given out."""
    _told(_each(link, url, lab, lambda node: node.stop_link(link)), as_json)


@app.command()
def watch(
    link: Link,
    url: Url = None,
    lab: LabOption = None,
    count: Annotated[int | None, typer.Option(help="End after so many seconds.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Follow a link, a line a second and one for each event, until Ctrl-C."""
    nodes = _nodes(url, lab, link)
    told = dict.fromkeys(nodes, time.time())
    seconds = 0
    while count is None or seconds < count:
        for name, node in nodes.items():
            try:
                told[name] = _follow(name, node, link, told[name], as_json=as_json)
            except NotAnswering:
                print_line(f"{name}: does not answer", {"node": name, "state": None}, as_json=as_json)
        seconds += 1
        time.sleep(_WATCH_S)


def _follow(name: str, node: Management, link: str, since: float, *, as_json: bool) -> float:
    events = [event for event in node.link_activity(link) if event.at > since]
    for event in events:
        print_line(f"{_time(event.at)}  {name}: {_event(event)}", {"node": name, **_plain(event)}, as_json=as_json)
    info, now = node.link(link), time.time()
    qber = "-" if info.qber is None else f"{100 * info.qber:.2f} %"
    text = f"{_time(now)}  {name}: {info.state}  SBR {info.sbr_bps / 1000:.1f} kbit/s  QBER {qber}"
    print_line(text, {"node": name, "at": now, **_plain(info)}, as_json=as_json)
    return max((since, *(event.at for event in events)))


def _nodes(url: str | None, lab: Path | None, link: str | None = None) -> dict[str, Management]:
    if url is not None:
        return {url: Management(url)}
    if lab is None:
        raise typer.BadParameter("give --url, the management address of a node, or --lab")
    from keyhop.lab import Lab  # it brings the whole PKI with it

    nodes = Lab.load(lab).management(link)
    if not nodes:
        raise ConfigurationError(f"no node of the lab in {lab} runs", hint="bring it up: keyhop lab up")
    return nodes


def _each[T](link: str, url: str | None, lab: Path | None, ask: Callable[[Management], T]) -> list[tuple[str, T]]:
    nodes = _nodes(url, lab, link)
    try:
        return [(node.node().id, ask(node)) for node in nodes.values()]
    except Refused as refusal:
        if refusal.status != 404:
            raise
        links = ", ".join(each.id for node in nodes.values() for each in node.links())
        raise ConfigurationError(f"there is no link `{link}`", hint=f"the links are: {links or 'none'}") from None


def _told(found: list[tuple[str, LinkInfo]], as_json: bool) -> None:
    if as_json:
        print_json([{"node": name, **_plain(link)} for name, link in found])
    else:
        print_table(("node", "link", "state"), [(name, link.id, link.state) for name, link in found])


def _facts(link: LinkInfo) -> list[tuple[str, object]]:
    _, peer, kind, state, sbr, qber, blocks = link_row(link)
    facts = [("to", peer), ("kind", kind), ("state", state), ("SBR kbit/s", sbr), ("QBER %", qber), ("blocks", blocks)]
    return [*facts, ("alarms", link.alarms), *((name, _figure(value)) for name, value in link.details.items())]


def _figure(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _event(event: LinkActivity) -> str:
    return f"ALARM {event.text}" if event.alarm else event.text


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
