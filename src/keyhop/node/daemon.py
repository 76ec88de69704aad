"""The node as a process: signals, graceful stop, exit status.

SIGTERM and SIGINT stop it gracefully; a second one at once. SIGHUP reads the configuration again. A failed store
stops it with exit status 1: what the disk holds is known again when the node starts. So does any part that ends.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn
import uvloop

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.errors import ConfigurationError
from keyhop.core.scheduling import SHORTEST_SLICE_S, ask_for_slices
from keyhop.core.watched import watched
from keyhop.node.config import NodeConfig, load_config
from keyhop.node.listening import listen
from keyhop.node.management import management_app
from keyhop.node.node import Node
from keyhop.node.preflight import preflight
from keyhop.node.process import allow_all_files, keep_collections_short, keep_memory_private
from keyhop.node.telemetry import configure_logging

_log = structlog.get_logger(__name__)


def run(config_path: Path) -> int:
    """Runs a node until it is told to stop; returns the exit status. Raises ConfigurationError."""
    config = load_config(config_path)
    configure_logging(config.log.level, config.log.format)
    preflight(config, SystemClock())
    os.umask(0o077)
    keep_memory_private()
    allow_all_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Daemon(config_path).run(config))


class _Daemon:
    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path
        self._stop = asyncio.Event()
        self._failed = False

    async def run(self, config: NodeConfig) -> int:
        node = Node(config, SystemClock(), SystemEntropy(), self._fail)
        management = _management_server(node)
        management_socket = listen(config.management.listen)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload, node)
        serving = watched(management.serve(sockets=[management_socket]), self._management_ended)
        try:
            await node.start()
            ask_for_slices(SHORTEST_SLICE_S)  # not earlier: threads that are started inherit it
            keep_collections_short()
            await self._stop.wait()
        finally:
            await node.stop()
            management.should_exit = True
            await asyncio.wait([serving])
            management_socket.close()
        return 1 if self._failed else 0

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            _log.warning("stopped at once")
            os._exit(1)
        self._stop.set()

    def _management_ended(self, error: Exception) -> None:
        _log.critical("the node stops", part="management", exc_info=error)
        self._fail()

    def _fail(self) -> None:
        self._failed = True
        self._stop.set()

    def _reload(self, node: Node) -> None:
        try:
            node.reload(load_config(self._config_path))
        except ConfigurationError as error:
            _log.error("configuration not reloaded", reason=error.message, hint=error.hint)


class _Server(uvicorn.Server):
    """Leaves signals to the daemon."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _management_server(node: Node) -> uvicorn.Server:
    config = uvicorn.Config(
        management_app(node.desk), log_config=None, access_log=False, lifespan="off", server_header=False, ws="none"
    )
    return _Server(config)
