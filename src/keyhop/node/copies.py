"""What a node tells its operators of copies: of its store, of itself, of its peers."""

import structlog

from keyhop.node.config import NodeConfig
from keyhop.service.kme import Kme

_log = structlog.get_logger(__name__)


def tell_of_store(kme: Kme, config: NodeConfig) -> None:
    """What the witness found out at the start, or that there is none."""
    if kme.restored:
        _log.critical(
            "the store is an old copy: the keys in it are discarded",
            reason=kme.restored,
            hint="if nobody restored it, look at the disk; a witness moves with its node, and is in no backup. "
            "Enrol bb84 links again: their authentication keys are discarded too",
        )
    if config.store.kind == "sqlite" and not kme.witness:
        _log.warning(
            "no witness: if this node and its peers are restored from backups together, nobody finds out",
            hint="[store] witness = a file outside data_dir and its backups",
        )


class CopyWatch:
    """Logs each new sign that a node runs twice."""

    def __init__(self, kme: Kme) -> None:
        self._pairs = [peer.relayed for peer in kme.peers.values()]
        self._told = {pair.peer: (0, 0) for pair in self._pairs}

    def tick(self) -> None:
        """Looks at what the pairs have noticed since the last look."""
        for pair in self._pairs:
            peer, signs = pair.peer, (pair.session.theirs.signs, pair.session.ours.signs)
            theirs, ours = self._told[peer]
            self._told[peer] = signs
            if signs[0] > theirs:
                _log.critical(
                    "two nodes claim to be the same peer",
                    peer=peer,
                    hint="one of them is a copy: stop both, erase the copy, start the other",
                )
            if signs[1] > ours:
                _log.critical(
                    "another node with this node's certificate has taken its place at a peer",
                    peer=peer,
                    hint="one of them is a copy: stop both, erase the copy, start the other",
                )
