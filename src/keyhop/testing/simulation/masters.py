"""What masters do with keys beyond asking for them: they bring their own, and void keys that were not fetched."""

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import is_chosen
from keyhop.service.requests import GetKeyWithIds, InsertKeys, VoidKeys
from keyhop.testing.history import Seen
from keyhop.testing.simulation.doings import RECENT, SIZES, Choose, enc
from keyhop.testing.simulation.setting import LIFETIME_S
from keyhop.testing.simulation.simulation import Simulation

VERSIONS = (1, 2, 3, 5, 6, 7)


def insert(sim: Simulation, choose: Choose) -> None:
    """A master brings keys, under IDs of its own or not; now and then a slave asks for them before it should."""
    sites = sim.sites
    master = sites.saes[choose(len(sites.saes))]
    others = tuple(sae for sae in sites.saes if sae != master)
    slaves = tuple(dict.fromkeys(others[choose(len(others))] for _ in range(1 + choose(3))))
    number, size = 1 + choose(4), SIZES[choose(len(SIZES))] // 8
    ids = b"".join(_own_id(sim, choose) for _ in range(number)) if choose(2) else b""
    _insert(sim, master, slaves, size, ids or number)
    if ids and not choose(3):
        sim.run((0.0, 0.001, 0.003, 0.02)[choose(4)])
        sim.get_key_with_ids(GetKeyWithIds(slaves[choose(len(slaves))], master, ids))


def insert_again(sim: Simulation, choose: Choose) -> None:
    """A master brings other keys under IDs that it has used; or another master uses the same IDs."""
    now = sim.loop.now
    own = [seen for seen in sim.history.keys.values() if is_chosen(seen.key_id) and seen.got_at > now - LIFETIME_S / 2]
    if not own or sim.watch.ever_restored:
        return
    seen = own[-1 - choose(min(len(own), RECENT))]
    other = sim.sites.saes[choose(len(sim.sites.saes))]
    master = seen.master if choose(2) or other in seen.slaves else other
    if not any(sim.watch.aged(master, slave) for slave in seen.slaves):
        _insert(sim, master, seen.slaves, len(seen.key), seen.key_id)


def void(sim: Simulation, choose: Choose) -> None:
    """A master voids keys, once or twice, while one of their slaves may ask for them."""
    keys = list(sim.history.keys.values())
    if not keys or not choose(3):
        enc(sim, choose)
        sim.run(0.02)
        keys = list(sim.history.keys.values())
    if not keys:
        return
    seen = keys[-1 - choose(min(len(keys), RECENT))]
    alike = [s for s in keys if (s.master, s.slaves) == (seen.master, seen.slaves)][-4:] if choose(2) else [seen]
    ids = b"".join(dict.fromkeys(s.key_id for s in alike))
    if not choose(3):
        _ask(sim, choose, seen)
    _void(sim, seen.master, seen.slaves, ids)
    if not choose(3):
        _ask(sim, choose, seen)
    if not choose(4):
        _void(sim, seen.master, seen.slaves, ids)


def void_wrong(sim: Simulation, choose: Choose) -> None:
    """Somebody voids what is not his, or for somebody whose it is not."""
    keys, saes = list(sim.history.keys.values()), sim.sites.saes
    if keys:
        seen = keys[-1 - choose(min(len(keys), RECENT))]
        master, slave = saes[choose(len(saes))], saes[choose(len(saes))]
        if master != slave and (master != seen.master or slave not in seen.slaves):
            _void(sim, master, (slave,), seen.key_id)


def ask_for_void(sim: Simulation, choose: Choose) -> None:
    """Slaves ask for keys that were voided."""
    voided = [(seen, slave) for seen in sim.history.keys.values() for slave in seen.voided]
    for _ in range(min(len(voided), 4)):
        seen, slave = voided[-1 - choose(min(len(voided), 12))]
        sim.get_key_with_ids(GetKeyWithIds(slave, seen.master, seen.key_id))


def _insert(sim: Simulation, master: SaeId, slaves: tuple[SaeId, ...], size: int, ids: bytes | int) -> None:
    """Under these IDs, or so many keys under others."""
    number, own = (ids, b"") if isinstance(ids, int) else (len(ids) // 16, ids)
    sim.insert_keys(InsertKeys(master, slaves[0], KeyMaterial(sim.block(size * number)), size, own, slaves[1:]))


def _void(sim: Simulation, master: SaeId, slaves: tuple[SaeId, ...], ids: bytes) -> None:
    sim.void_keys(VoidKeys(master, slaves[0], ids, slaves[1:]))


def _ask(sim: Simulation, choose: Choose, seen: Seen) -> None:
    slave = seen.slaves[choose(len(seen.slaves))]
    sim.get_key_with_ids(GetKeyWithIds(slave, seen.master, seen.key_id))


def _own_id(sim: Simulation, choose: Choose) -> bytes:
    key_id = bytearray(sim.block(16))
    key_id[6] = VERSIONS[choose(len(VERSIONS))] << 4 | key_id[6] & 0x0F
    key_id[8] = 0x80 | key_id[8] & 0x3F
    return bytes(key_id)
