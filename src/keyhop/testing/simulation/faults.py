"""What befalls machines, disks, clocks and wires. Each draws its details from `choose(n)`, a number below n."""

from dataclasses import replace

from keyhop.testing.simulation import healing
from keyhop.testing.simulation.backups import OLD_S, back_up, restore_one
from keyhop.testing.simulation.disk import DiskFault
from keyhop.testing.simulation.doings import Choose, dec, dec_again, enc, enc_for_several, enc_much
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.sites import Wire
from keyhop.testing.simulation.wires import Weather


def lose_power(sim: Simulation, choose: Choose) -> None:
    """A machine loses its power between two turns of its software."""
    _machine(sim, choose).crash(power_cut=True)


def lose_power_soon(sim: Simulation, choose: Choose) -> None:
    """A machine loses its power within a turn: in a commit, after it, between two messages or answers."""
    _machine(sim, choose).power.in_points = choose(12)


def lose_power_in_start(sim: Simulation, choose: Choose) -> None:
    """A machine loses its power, and once more while its node starts again."""
    machine = _machine(sim, choose)
    machine.power_in_start = choose(8)
    machine.crash(power_cut=True)


def kill(sim: Simulation, choose: Choose) -> None:
    """A process is killed; its machine goes on."""
    _machine(sim, choose).crash(power_cut=False)


def stop(sim: Simulation, choose: Choose) -> None:
    """An operator stops a node, which starts again."""
    _machine(sim, choose).stop_gracefully()


def freeze(sim: Simulation, choose: Choose) -> None:
    """A machine stands still for a while; what comes in waits."""
    _machine(sim, choose).freeze((0.3, 1.5, 4.0, 12.0)[choose(4)])


def break_disk(sim: Simulation, choose: Choose) -> None:
    """The next commit of a machine fails, or its next start."""
    machine = _machine(sim, choose)
    fault = list(DiskFault)[choose(len(DiskFault))]
    if not choose(3):  # while somebody waits for bytes that there are not
        for _ in range(2 * len(sim.sites.wires)):
            enc_much(sim, choose)
        for _ in range(3):
            enc_for_several(sim, choose)
        sim.run(0.01)
    machine.disk.fault = fault
    machine.note(f"disk fault: {fault.name}")
    if fault is DiskFault.WITNESS:  # which is written between two steps
        for _ in range(12):
            enc(sim, choose)
            sim.run(0.12)
    if fault is DiskFault.READ:
        machine.crash(power_cut=bool(choose(2)))


def break_disk_and_lose_power(sim: Simulation, choose: Choose) -> None:
    """A sync fails, the node starts again on what it finds, and then the power goes."""
    machine = _machine(sim, choose)
    machine.disk.fault = DiskFault.SYNC
    machine.note(f"disk fault: {DiskFault.SYNC.name}")
    dec(sim, choose)
    sim.run(3.0 + choose(3))
    dec(sim, choose)
    sim.run(0.1)
    machine.crash(power_cut=True)


def step_clock(sim: Simulation, choose: Choose) -> None:
    """Somebody sets a wall clock, by as much as no key's life depends on."""
    machine = _machine(sim, choose)
    machine.clock.skew_s = (-2.0, -0.5, 0.5, 2.0)[choose(4)]
    machine.note("clock set", machine.clock.skew_s)


def step_clock_far(sim: Simulation, choose: Choose) -> None:
    """Somebody sets a wall clock by an hour or more; the node may find that out when it starts again."""
    machine = _machine(sim, choose)
    machine.clock.skew_s = (-86400.0, -3600.0, 3600.0)[choose(3)]
    machine.note("clock set", machine.clock.skew_s)
    if choose(2):
        machine.crash(power_cut=False)


def weather(sim: Simulation, choose: Choose) -> None:
    """The network gets worse, or better."""
    sim.wires.weather = Weather(
        (0.0, 0.1, 0.3)[choose(3)], (0.0, 0.1, 0.3)[choose(3)], bool(choose(2)), (0.0005, 0.02, 0.2)[choose(3)]
    )
    sim.trace.note(sim.loop.now, "", "weather", sim.wires.weather)


def part(sim: Simulation, choose: Choose) -> None:
    """Nothing gets from one KME to another any more, in one direction or in both."""
    a, b = _between(sim, choose)
    directions = (((a, b), (b, a)), ((a, b),), ((b, a),))[choose(3)]
    sim.wires.blocked.update(directions)
    for source, target in directions:
        sim.trace.note(sim.loop.now, source, "cut off", target)


def join(sim: Simulation, choose: Choose) -> None:
    """All wires work again."""
    if sim.wires.blocked:
        sim.wires.blocked.clear()
        sim.trace.note(sim.loop.now, "", "joined")


def disconnect(sim: Simulation, choose: Choose) -> None:
    """A connection is lost, and what was on it; perhaps only one end notices."""
    a, b = _wire(sim, choose)
    if choose(2) and b in sim.sites.neighbours(a):
        sim.produce_block(a, b, 1024)
        sim.run(0.0005 * (1 + choose(6)))
    for message in sim.wires.on_the_way:
        if {message.source, message.target} == {a, b} and choose(2):
            message.lost = True
    sim.connections.lose(a, b, told=((a, b), (a,), (b,))[choose(3)])


def stop_link(sim: Simulation, choose: Choose) -> None:
    """A link stops generating key."""
    sim.stop_link(*_link(sim, choose))


def start_link(sim: Simulation, choose: Choose) -> None:
    """A link generates key again, if it had stopped."""
    sim.start_link(*_link(sim, choose))


def stay_down(sim: Simulation, choose: Choose) -> None:
    """A machine is down for so long that others take it for gone."""
    machine = _machine(sim, choose)
    machine.down_until = sim.loop.now + (3.0, 8.0, 20.0)[choose(3)]
    machine.crash(power_cut=bool(choose(2)))


def copy(sim: Simulation, choose: Choose) -> None:
    """Somebody makes a backup."""
    back_up(sim, _machine(sim, choose).name)


def restore(sim: Simulation, choose: Choose) -> None:
    """Somebody restores one."""
    if choose(2):
        healing.calm(sim)
    restore_one(sim, _machine(sim, choose).name, choose)


def relapse_together(sim: Simulation, choose: Choose) -> None:
    """A backup of everything, some keys, and all of it is restored at once: only witnesses can tell."""
    if not sim.setting.witness:
        return
    for name in sim.sites.kmes:
        back_up(sim, name)
    for _ in range(1 + choose(3)):
        (dec, enc)[choose(2)](sim, choose)
    sim.run(OLD_S + 0.5 + choose(3))
    for name in sim.sites.kmes:
        restore_one(sim, name, lambda n: n - 1)
    sim.run(2.5)
    (dec_again, enc)[choose(2)](sim, choose)


def relapse(sim: Simulation, choose: Choose) -> None:
    """A backup, some deliveries, calm, the backup again, and the same requests."""
    name = _machine(sim, choose).name
    healing.calm(sim)
    if choose(2):
        dec(sim, choose)
        sim.run(0.05)
    back_up(sim, name)
    for _ in range(1 + choose(3)):
        dec(sim, choose)
    sim.run(0.05)
    healing.calm(sim)
    restore_one(sim, name, lambda n: n - 1)
    sim.run(0.3)
    if choose(2):
        healing.calm(sim)
    dec_again(sim, choose)


def change_policy(sim: Simulation, choose: Choose) -> None:
    """An operator changes how long requests wait, how many keys one may ask for, what is reserved, or takes back the
    rules for single pairs."""
    machine = _machine(sim, choose)
    usual = machine.options.policy.base
    usual = replace(usual, wait_s=(0.0, 0.3, 1.0)[choose(3)], max_keys_per_request=(64, 64, 4)[choose(3)])
    pairs = replace(machine.options.pairs, reserved_bytes_per_pair=(0, 512)[choose(2)])
    rules = () if not choose(4) else sim.setting.rules
    policy = replace(machine.options.policy, base=usual, rules=rules)
    change = (usual.wait_s, usual.max_keys_per_request, pairs.reserved_bytes_per_pair, len(rules))
    machine.note("policy changed", *change)
    machine.reconfigure(replace(machine.options, policy=policy, pairs=pairs))


def calm(sim: Simulation, choose: Choose) -> None:
    """All faults end for now, and the network gets in step."""
    healing.calm(sim)


def _machine(sim: Simulation, choose: Choose) -> Machine:
    return sim.machines[sim.sites.kmes[choose(len(sim.sites.kmes))]]


def _link(sim: Simulation, choose: Choose) -> Wire:
    return sim.sites.links[choose(len(sim.sites.links))]


def _wire(sim: Simulation, choose: Choose) -> Wire:
    return sim.sites.wires[choose(len(sim.sites.wires))]


def _between(sim: Simulation, choose: Choose) -> Wire:
    """Two KMEs that talk: also the gateways of two domains, about every other time."""
    return sim.sites.joint if sim.sites.joint and choose(2) else _wire(sim, choose)
