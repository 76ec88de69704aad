"""One node of a lab: its files, its process if it runs, and what it says of itself."""

import tomllib

import msgspec

from keyhop.lab.inventory import KmeEntry
from keyhop.lab.layout import Layout
from keyhop.lab.managed import Managed
from keyhop.lab.process import NodeProcess
from keyhop.management import Management, NotAnswering
from keyhop.node.state import LinkInfo, NodeInfo, Readiness

MANAGEMENT_TIMEOUT_S = 2.0
_NO_ANSWER = Readiness(ready=False, missing=["its management address does not answer"])
_DOWN = Readiness(ready=False, missing=["it does not run"])


class NodeState(msgspec.Struct, frozen=True):
    """One node as it is now; `missing` says what it lacks."""

    id: str
    pid: int | None
    ready: bool
    missing: list[str]
    etsi014_url: str
    management_url: str
    links: list[LinkInfo]


class LabNode(Managed):
    """The node of the KME `kme`."""

    def __init__(self, layout: Layout, kme: str) -> None:
        arguments = ("-m", "keyhop", "node", "run", "--config", str(layout.config(kme)))
        super().__init__(kme, arguments, layout.log(kme), layout.pid(kme))
        self._layout = layout

    def process(self) -> NodeProcess | None:
        """The process, if it runs: the one noted at its start, or the one that answers for it."""
        if noted := super().process():
            return noted
        answer = self._answer()
        if answer is None or answer.id != self.id:
            return None
        answering = NodeProcess(answer.pid, self._arguments)
        return answering if answering.running() else None

    def _answer(self) -> NodeInfo | None:
        try:
            return self.management().node()
        except NotAnswering:
            return None

    def readiness(self) -> Readiness:
        """Whether it is ready, or why not."""
        try:
            return self.management().readiness()
        except NotAnswering:
            return _NO_ANSWER

    def answers(self) -> bool:
        """Whether its management address answers, so that it serves as far as it can."""
        return self._answer() is not None

    def entry(self) -> KmeEntry:
        """Its line in lab.json."""
        process = self.process()
        return KmeEntry(
            id=self.id,
            etsi014_url=f"https://{self._listen('etsi014')}",
            management_url=self.management().url,
            config=str(self._layout.config(self.id)),
            pid=process.pid if process else None,
        )

    def state(self) -> NodeState:
        """It as it is now."""
        entry = self.entry()
        readiness = _DOWN if entry.pid is None else self.readiness()
        return NodeState(
            id=self.id,
            pid=entry.pid,
            ready=readiness.ready,
            missing=readiness.missing,
            etsi014_url=entry.etsi014_url,
            management_url=entry.management_url,
            links=[] if entry.pid is None else self.links(),
        )

    def management(self) -> Management:
        """What it tells its operators."""
        return Management(f"http://{self._listen('management')}", timeout_s=MANAGEMENT_TIMEOUT_S)

    def links(self) -> list[LinkInfo]:
        """Its links; none while it does not answer."""
        try:
            return self.management().links()
        except NotAnswering:
            return []

    def _listen(self, section: str) -> str:
        document = tomllib.loads(self._layout.config(self.id).read_text(encoding="utf-8"))
        return str(document[section]["listen"])
