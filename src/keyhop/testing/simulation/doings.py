"""What SAEs and links do. Each draws its details from `choose(n)`, a number below n."""

from collections.abc import Callable

from keyhop.core.ids import SaeId
from keyhop.service.requests import GetKey, GetKeyWithIds
from keyhop.testing.history import Seen
from keyhop.testing.simulation.saes import ids_of
from keyhop.testing.simulation.simulation import Simulation

type Choose = Callable[[int], int]

SIZES = (256, 64, 128, 72, 1000, 512)
BLOCK_BYTES = (1024, 1501, 2048, 3000, 104, 100)
RECENT = 16
IDLE_TICK_S = 1.0


def enc(sim: Simulation, choose: Choose) -> None:
    """enc_keys, mostly for a slave at another KME, now and then for several slaves."""
    _enc(sim, choose, several=not choose(3))


def enc_for_several(sim: Simulation, choose: Choose) -> None:
    """enc_keys for slaves at several KMEs."""
    _enc(sim, choose, several=True)


def _enc(sim: Simulation, choose: Choose, *, several: bool) -> None:
    sites = sim.sites
    master = sites.saes[choose(len(sites.saes))]
    home = sites.home[master]
    near = [sae for sae in sites.saes if sites.home[sae] != home]
    others = [sae for sae in sites.saes if sae != master]
    slave = near[choose(len(near))] if choose(4) else others[choose(len(others))]
    extra: tuple[SaeId, ...] = ()
    if several:
        pool = [sae for sae in (near if choose(6) else others) if sae != slave]
        pool += [sae for sae in sites.at(home) if sae not in (master, slave, *pool)]
        extra = tuple(dict.fromkeys(pool[choose(len(pool))] for _ in range(1 + choose(3))))
    sim.get_key(GetKey(master, slave, 1 + choose(5), SIZES[choose(len(SIZES))], extra))


def enc_much(sim: Simulation, choose: Choose) -> None:
    """enc_keys for so many bytes that leases, and streams, run out."""
    a, b = sim.sites.wires[choose(len(sim.sites.wires))]
    if choose(2):
        a, b = b, a
    sim.get_key(GetKey(sim.sites.at(a)[0], sim.sites.at(b)[0], 8 + choose(24), 1000))


def enc_dry(sim: Simulation, choose: Choose) -> None:
    """A stream runs out, and somebody asks who may have expanded keys then."""
    home = sim.sites.home
    expands = [rule for rule in sim.setting.rules if rule.gives.get("when_dry") == "expand"]
    pairs = [(SaeId(rule.master), SaeId(rule.slave)) for rule in expands]
    pairs = [(master, slave) for master, slave in pairs if home[master] != home[slave]]
    if not pairs:
        return
    master, slave = pairs[choose(len(pairs))]
    for number in (32, 16, 8, 4, 2, 1):
        sim.get_key(GetKey(sim.sites.at(home[master])[0], sim.sites.at(home[slave])[0], number, 1000))
        sim.run(0.005)
    for _ in range(2 + choose(3)):
        asked = sim.get_key(GetKey(master, slave, 1 + choose(8), SIZES[choose(len(SIZES))]))
        sim.run((0.0, 0.005, 0.05)[choose(3)])
        if asked.keys is not None and choose(2):
            sim.get_key_with_ids(GetKeyWithIds(slave, master, b"".join(ids_of(asked.keys))))


def dec(sim: Simulation, choose: Choose) -> None:
    """dec_keys of a key that was given out lately."""
    seen = _recent(sim, choose)
    if seen:
        sim.get_key_with_ids(GetKeyWithIds(seen.slaves[choose(len(seen.slaves))], seen.master, seen.key_id))


def dec_again(sim: Simulation, choose: Choose) -> None:
    """dec_keys of keys that this slave has got before."""
    fetched = [(seen, slave) for seen in sim.history.keys.values() for slave in seen.fetched]
    for _ in range(min(len(fetched), 4)):
        seen, slave = fetched[-1 - choose(min(len(fetched), 12))]
        sim.get_key_with_ids(GetKeyWithIds(slave, seen.master, seen.key_id))


def dec_wrong(sim: Simulation, choose: Choose) -> None:
    """dec_keys by somebody else, or under another master's name."""
    seen, saes = _recent(sim, choose), sim.sites.saes
    if seen:
        slave, master = saes[choose(len(saes))], saes[choose(len(saes))] if choose(2) else seen.master
        if (slave not in seen.slaves or master != seen.master) and slave != master:
            sim.get_key_with_ids(GetKeyWithIds(slave, master, seen.key_id))


def dec_given_up(sim: Simulation, choose: Choose) -> None:
    """dec_keys of keys that are void since their gateway could not tell whether they had arrived."""
    void = list(sim.history.handed_over.void.items())
    if void:
        (master, key_id), slaves = void[-1 - choose(min(len(void), RECENT))]
        slave = sorted(slaves)[choose(len(slaves))]
        if SaeId(slave) in sim.sites.home:
            sim.get_key_with_ids(GetKeyWithIds(SaeId(slave), master, key_id))


def dec_altered(sim: Simulation, choose: Choose) -> None:
    """dec_keys of an ID that only an altered message named."""
    altered, saes = sim.history.altered_ids, sim.sites.saes
    if altered:
        slave, master = saes[choose(len(saes))], saes[choose(len(saes))]
        sim.get_key_with_ids(GetKeyWithIds(slave, master, altered[choose(len(altered))]))


def dec_several(sim: Simulation, choose: Choose) -> None:
    """dec_keys of several keys in one request, one of which may be bad."""
    seen = _recent(sim, choose)
    if not seen:
        return
    slave = seen.slaves[choose(len(seen.slaves))]
    alike = [s.key_id for s in sim.history.keys.values() if s.master == seen.master and slave in s.slaves][-8:]
    ids = alike[choose(len(alike)) :][: 1 + choose(6)]
    if choose(2):
        known = list(sim.history.keys)
        bad = known[-1 - choose(min(len(known), 32))] if choose(2) else bytes(16)
        ids = [*ids, bad] if bad not in ids else ids
    sim.get_key_with_ids(GetKeyWithIds(slave, seen.master, b"".join(ids)))


def produce(sim: Simulation, choose: Choose) -> None:
    """A link produces good blocks, or all of them do."""
    links = sim.sites.links
    for a, b in links if sim.sites.relays and choose(2) else (links[choose(len(links))],):
        for _ in range(1 + choose(4)):
            sim.produce_block(a, b, BLOCK_BYTES[choose(len(BLOCK_BYTES))])


def produce_badly(sim: Simulation, choose: Choose) -> None:
    """A link produces a block at one end only, or one that differs."""
    a, b = sim.sites.links[choose(len(sim.sites.links))]
    left = sim.block(BLOCK_BYTES[choose(3)])
    right = (None, sim.block(len(left)), flipped(left, choose(len(left))))[choose(3)]
    sim.produce(a, b, *((left, right) if choose(2) else (right, left)))


def wait(sim: Simulation, choose: Choose) -> None:
    """Nothing happens for a while."""
    sim.run((0.5, 1.0, 2.5, 5.0)[choose(4)])


def wait_long(sim: Simulation, choose: Choose) -> None:
    """Long enough for keys to grow old; machines tick less often meanwhile."""
    for machine in sim.machines.values():
        machine.tick_s = IDLE_TICK_S
    sim.run((15.0, 41.0, 81.0)[choose(3)])
    for machine in sim.machines.values():
        machine.tick_s = sim.setting.tick_s


def flipped(data: bytes, at: int = 0) -> bytes:
    """With one bit changed that always counts: Poly1305 ignores some others of its key."""
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def _recent(sim: Simulation, choose: Choose) -> Seen | None:
    keys = list(sim.history.keys.values())
    return keys[-1 - choose(min(len(keys), RECENT))] if keys else None
