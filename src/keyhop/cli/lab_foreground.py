"""A lab that lives as long as the command which brought it up."""

import signal
import time
from collections.abc import Callable

from keyhop.cli.output import print_note
from keyhop.lab import Lab

_WATCH_S = 1.0


def stop_on_signals() -> None:
    """Make SIGTERM and a closed terminal end a command as Ctrl-C does, so that it can stop its nodes."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, signal.default_int_handler)


def stay(lab: Lab, say: Callable[[], None] = lambda: None) -> None:
    """Keep a lab up until Ctrl-C or SIGTERM, saying which nodes end and come back; then stop it.

    `say` has the first words: also then Ctrl-C stops the lab.
    """
    try:
        say()
        print_note(f"running in {lab.directory}; Ctrl-C stops it")
        running = lab.running()
        while True:
            time.sleep(_WATCH_S)
            now = lab.running()
            for node in sorted(set(running) - set(now)):
                print_note(f"{node} has ended; bring it back with: keyhop lab start {node} --dir {lab.directory}")
            for node in sorted(set(now) - set(running)):
                print_note(f"{node} runs again")
            running = now
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave nodes behind
        print_note("stopping the nodes")
        lab.down()
