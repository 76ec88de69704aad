"""A lab whose nodes are forked from a process that has imported them, so that they can be started thousands of times.

Setting up, and everything else about it, is the lab's own.
"""

import http.client
import shutil
import signal
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import tomli_w
from zygote import ForkedNode, Zygote

from keyhop.lab import Lab, Topology
from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up

READY_S = 30.0
POLL_S = 0.004
_WITNESS = '[store]\nwitness = "witness"\n'


class ForkedLab:
    """The nodes of `lab` as processes."""

    def __init__(self, zygote: Zygote, layout: Layout, lab: Lab) -> None:
        self.lab = lab
        self._zygote = zygote
        self._layout = layout
        self._addresses = {kme.id: urlsplit(kme.management_url).netloc for kme in lab.inventory().kmes}
        self._running: dict[str, ForkedNode] = {}

    @classmethod
    @contextmanager
    def running(cls, directory: Path, topology: Topology, *, witness: bool = True) -> Iterator[Self]:
        """Set up in `directory`, with both nodes ready; without their witnesses, if so told. Stopped at the end."""
        layout = Layout(directory)
        set_up(layout, topology)
        with Zygote.running() as zygote:
            forked = cls(zygote, layout, Lab(layout, topology))
            for kme in forked._addresses if not witness else ():
                forked.forget_witness(kme)
            try:
                forked.all_ready()
                yield forked
            finally:
                for kme in forked._addresses:
                    forked.stop(kme)

    def data(self, kme: str) -> Path:
        """A node's data_dir."""
        return self._layout.node(kme) / "data"

    def witness(self, kme: str) -> Path:
        """The file of a node's witness."""
        return self._layout.node(kme) / "witness"

    def log(self, kme: str) -> str:
        """What a node has logged, over all its starts."""
        return self._layout.log(kme).read_text()

    def clone(self, kme: str, directory: Path, listen: dict[str, str]) -> Path:
        """A copy of all that a node has, witness included, made while it stands still; its own addresses differ.

        The path of its node.toml.
        """
        here = self._layout.node(kme)
        with self.frozen(kme):
            shutil.copytree(here, directory)
        document = tomllib.loads((here / "node.toml").read_text())
        for section, address in listen.items():
            document[section]["listen"] = address
        for table, name in [(document["tls"], name) for name in ("ca", "certificate", "key", "crl")] + [
            (link, "secret_file") for link in document["links"]
        ]:
            table[name] = str((here / table[name]).resolve())
        config = directory / "node.toml"
        config.write_text(tomli_w.dumps(document))
        return config

    def start_other(self, config: Path) -> ForkedNode:
        """Another node, of that configuration; its log is beside it."""
        return self._zygote.start(config, config.with_name("node.log"))

    def forget_witness(self, kme: str) -> None:
        """The node has no witness from its next start on."""
        config = self._layout.config(kme)
        text = config.read_text()
        assert _WITNESS in text
        config.write_text(text.replace(_WITNESS, ""))

    def kill(self, kme: str) -> None:
        """`kill -9`; harmless when it does not run."""
        self._end(kme, signal.SIGKILL)

    def stop(self, kme: str) -> None:
        """In order; harmless when it does not run."""
        self._end(kme, signal.SIGTERM)

    @contextmanager
    def frozen(self, kme: str) -> Iterator[None]:
        """The node stands still."""
        self._running[kme].send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running[kme].send(signal.SIGCONT)

    def start(self, kme: str, for_s: float) -> None:
        """Lets it start for so long, or until it is ready; harmless when it runs."""
        node = self._start(kme)
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline and not self.says(kme, "/readyz") and not node.ended():
            time.sleep(POLL_S)

    def start_alone(self, kme: str) -> None:
        """Starts it while others are down: until it answers."""
        self._wait(kme, self._start(kme), "/healthz")

    def all_ready(self) -> None:
        """Starts what does not run, and waits until both are ready."""
        for kme, node in [(kme, self._start(kme)) for kme in self._addresses]:
            self._wait(kme, node, "/readyz")

    def set_back(self, kme: str, copy: Path) -> None:
        """The node crashes, and its data_dir is what it was when it was copied."""
        self.kill(kme)
        shutil.rmtree(self.data(kme))
        shutil.copytree(copy, self.data(kme))

    def says(self, kme: str, path: str) -> bool:
        """Whether the node answers 200."""
        connection = http.client.HTTPConnection(self._addresses[kme], timeout=READY_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _start(self, kme: str) -> ForkedNode:
        if kme not in self._running:
            self._running[kme] = self._zygote.start(self._layout.config(kme), self._layout.log(kme))
        return self._running[kme]

    def _wait(self, kme: str, node: ForkedNode, path: str) -> None:
        deadline = time.monotonic() + READY_S
        while not self.says(kme, path):
            assert not node.ended(), f"{kme} ended by itself:\n{self.log(kme)[-2000:]}"
            assert time.monotonic() < deadline, f"{kme} is not ready after {READY_S} s"
            time.sleep(POLL_S)

    def _end(self, kme: str, number: signal.Signals) -> None:
        node = self._running.pop(kme, None)
        if node is not None:
            node.end(number)
