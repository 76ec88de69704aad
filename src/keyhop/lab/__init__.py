"""Whole networks on one machine: every node a real process, every connection a real socket on loopback.

    topology   what the network is: KMEs, SAEs, links, delays (a TOML file, or the name of one in topologies/)
    layout     where everything of a lab lies in its directory
    addresses  where its nodes listen and find each other, on free ports
    setup      topology -> PKI, link secrets and a node.toml per node, made once and kept; link_tables for its links,
               gateways for what is beyond them
    process    one node process: start it, recognise it again, end it
    managed    a process that the lab keeps, by the number in a file
    file_device  a process that drops key files for links of kind `files`
    delay_proxy  a process that is the distance between two nodes
    inventory  lab.json, for those who use the lab
    node       one node: its files, its process, its state
    waiting    until nodes are ready, and what is said when they are not
    lab        `Lab`: up, load, start, kill, down, state
    demo       the paper's key exchange, step by step

What enters: a topology and a directory. What leaves: running nodes and `lab.json`. The lab knows nodes only
by their configuration file and their management API. It needs Linux (pidfd).
"""

from keyhop.lab.inventory import Inventory, KmeEntry, SaeEntry
from keyhop.lab.lab import Lab
from keyhop.lab.node import NodeState
from keyhop.lab.topology import Topology, load_topology
from keyhop.lab.waiting import LabError, NotReady

__all__ = ["Inventory", "KmeEntry", "Lab", "LabError", "NodeState", "NotReady", "SaeEntry", "Topology", "load_topology"]
