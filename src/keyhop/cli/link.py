"""`keyhop link`: the QKD links of a node, or of a lab, as their operator sees them.

The node is named by its management address (`--url`), or the whole lab by its directory (`--lab`): then both ends of a
link are shown, started and stopped.
"""

import time
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from keyhop.cli.ends import Absent, Ends, find_ends
from keyhop.cli.node import AsJson
from keyhop.cli.node_tables import link_row
from keyhop.cli.output import print_gap, print_json, print_line, print_note, print_table
from keyhop.cli.place import LabOption, Url
from keyhop.management import Management, NotAnswering
from keyhop.node.state import LinkActivity, LinkInfo

app = typer.Typer(
    help="QKD links: their state, SBR and QBER, what happened; start and stop them.", no_args_is_help=True
)

Link = Annotated[str, typer.Argument(metavar="LINK", help="The ID of the link.")]

_EVENTS = 20
_WATCH_S = 1.0


@app.command("list")
def list_links(context: typer.Context, url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Show every link: its state, secret bit rate and QBER."""
    ends = find_ends(context, url, lab)
    found, absent = ends.each(Management.links)
    if as_json:
        links = [{"node": name, **_plain(link)} for name, of_node in found for link in of_node]
        print_json([*links, *(_absent_plain(each, link) for each in absent for link, _ in _links_of(each, ends))])
        return
    rows = [(name, *link_row(link)) for name, of_node in found for link in of_node]
    rows += [(each.node, *link, "-", each.reason, "-", "-", "-") for each in absent for link in _links_of(each, ends)]
    print_table(("node", "link", "peer", "kind", "state", "SBR kbit/s", "QBER %", "blocks"), rows)


@app.command()
def show(context: typer.Context, link: Link, url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Show all about a link, and what happened on it last."""
    ends = find_ends(context, url, lab, link)
    found, absent = ends.each_about(link, lambda node: (node.link(link), node.link_activity(link)))
    if as_json:
        shown = [{"node": name, **_plain(info), "activity": _plain(events)} for name, (info, events) in found]
        print_json([*shown, *(_absent_plain(each, link) for each in absent)])
        return
    for number, (name, (info, events)) in enumerate(found):
        if number:
            print_gap()
        print_table(("link", info.id), [("at node", name), *_facts(info)])
        print_table(("time", "event"), [(_time(event.at), _event(event)) for event in events[-_EVENTS:]])
    for each in absent:
        print_note(f"{each.node} {each.reason}")


@app.command()
def start(context: typer.Context, link: Link, url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Let a link produce key. Exit 1 when an end of it cannot be told."""
    ends = find_ends(context, url, lab, link)
    _told(link, *ends.each_about(link, lambda node: node.start_link(link)), as_json=as_json)


@app.command()
def stop(context: typer.Context, link: Link, url: Url = None, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Let a link rest, until it is started or its node is. Keys in stock are still given out.

    Exit 1 when an end of it cannot be told.
    """
    ends = find_ends(context, url, lab, link)
    _told(link, *ends.each_about(link, lambda node: node.stop_link(link)), as_json=as_json)


@app.command()
def watch(
    context: typer.Context,
    link: Link,
    url: Url = None,
    lab: LabOption = None,
    count: Annotated[int | None, typer.Option(help="End after so many seconds.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Follow a link, a line a second and one for each event, until Ctrl-C."""
    ends = find_ends(context, url, lab, link)
    ends.each_about(link, lambda node: node.link(link))
    told = dict.fromkeys(ends.nodes, time.time())
    seconds = 0
    while count is None or seconds < count:
        for name, node in ends.nodes.items():
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


def _links_of(absent: Absent, ends: Ends) -> list[tuple[str, str]]:
    """The links that end at a node, as the lab knows them, and their peers."""
    return [
        (link, other) for link, kmes in ends.links.items() for here, other in (kmes, kmes[::-1]) if here == absent.node
    ]


def _absent_plain(absent: Absent, link: str) -> dict[str, Any]:
    return {"node": absent.node, "id": link, "state": None, "reason": absent.reason}


def _told(link: str, found: list[tuple[str, LinkInfo]], absent: list[Absent], *, as_json: bool) -> None:
    if as_json:
        shown = [{"node": name, **_plain(info)} for name, info in found]
        print_json([*shown, *(_absent_plain(each, link) for each in absent)])
    else:
        print_table(("node", "link", "state"), [(name, info.id, info.state) for name, info in found])
    for each in absent:
        print_note(f"{each.node} {each.reason}: this end of {link} was not told")
    if absent:
        raise typer.Exit(1)


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
