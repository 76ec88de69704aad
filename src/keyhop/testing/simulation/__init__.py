"""Deterministic simulation: whole networks of KMEs, the production code, on machines that fail in every way we know.

A seed stands for a schedule. Nothing in a run depends on anything else, so a run can be repeated to the last byte,
and a schedule that breaks a promise can be shortened and told as a story.

    schedule      seed → setting and actions                     run        setting and actions → outcome
    shrink        fewer actions that break the same promise      story      an outcome in words
    many          seeds on several cores
    simulation    a network of machines, its links and SAEs      setting    what a run begins with
    sites         which networks there are                       healing    faults cease, and everything must work again
    reach         whom paths join gets keys, others are refused  doings     what SAEs and links do
    masters       keys that they bring, and void                 seeing     what is seen from outside, and told
    fairness      a greedy pair leaves others their floors
    faults        what befalls machines, disks, clocks, wires    backups    what restoring one excuses
    alterations   what somebody on the wire does

    loop          virtual time                                   trace      what happened
    machine       one KME: starts, turns, ticks, crashes         clocks     its clocks
    power         where a machine may lose its power             disk       its disk: the rules, and a fast one
    files         a page cache over a platter                    file_system   SQLite's view of such files
    sqlite_disk   the production store on them
    audit         its audit log                                  witness    its witness
    wires         latency, loss, repetition, order, partitions   connections   who has which connection
    lines         one end of a connection                        meetings    handshakes with keys between KMEs
    refreshing    of these keys, which ends no session           crossing    calls between the gateways of two domains

    marks         what keys say of how they were made          kem      what stands in for ML-KEM

    saes          what was asked, and that it is answered once
    watch         what must hold inside KMEs and between them    padded     what went under which pads
    recovered     what a KME could still give out after a power cut

What SAEs see is held against the promises by `keyhop.testing.history`.
"""

from keyhop.testing.simulation.run import Outcome, run
from keyhop.testing.simulation.schedule import ACTIONS, Action, Schedule, draw
from keyhop.testing.simulation.setting import LIFETIME_S, Setting
from keyhop.testing.simulation.shrink import shrink
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.sites import NETWORKS
from keyhop.testing.simulation.story import story

__all__ = [
    "ACTIONS",
    "LIFETIME_S",
    "NETWORKS",
    "Action",
    "Outcome",
    "Schedule",
    "Setting",
    "Simulation",
    "draw",
    "run",
    "shrink",
    "story",
]
