"""Backups of stores, and what restoring one excuses."""

from collections.abc import Callable

from keyhop.core.ids import KmeId
from keyhop.testing.simulation.healing import calm
from keyhop.testing.simulation.simulation import Simulation

OLD_S = 2.5
"""Longer than a delivery window, and than a step of the witness with the ticks that end it."""


def back_up(sim: Simulation, name: KmeId) -> None:
    """Somebody makes a backup."""
    machine = sim.machines[name]
    sim.copies[name].append((sim.loop.now, machine.disk.backup()))
    machine.note("backed up")


def restore_one(sim: Simulation, name: KmeId, choose: Callable[[int], int]) -> None:
    """Somebody stops a KME and restores a backup that is older than a delivery window.

    A witness finds that out by itself. Without one, what the KME gave out since the network was last calm may be given
    out again, because its peers need not know of it; and two KMEs that are restored at once could not remember a
    common past, so there is calm between.
    """
    old = [copy for copy in sim.copies[name] if copy[0] < sim.loop.now - OLD_S]
    if not old:
        return
    if not sim.setting.witness and sim.restored - {name}:
        calm(sim)
    made_at, image = old[choose(len(old))]
    machine = sim.machines[name]
    machine.crash(power_cut=False)
    if sim.setting.witness:
        sim.history.material.begins_anew(name)
    else:
        sim.history.excuse(lambda sae: sim.sites.home[sae] == name, max(made_at, sim.calm_at))
    sim.restored.add(name)
    sim.restored_at = sim.loop.now
    sim.saes.may_be_gone.update((name, sae) for name, key in sim.history.keys.items() for sae in key.slaves)
    sim.watch.restored(name)
    machine.disk.restore(image)
    machine.note("restored", round(sim.loop.now - made_at, 3))
    if sim.setting.psk_refresh_s is not None:
        _give_other_psks(sim, name)
    machine.start()


def _give_other_psks(sim: Simulation, name: KmeId) -> None:
    """A copy may have only generations that others have forgotten: operators know that it takes other keys then."""
    for peer in sim.sites.peers(name):
        sim.give_psk((name, peer))
        sim.machines[peer].stop_gracefully()
