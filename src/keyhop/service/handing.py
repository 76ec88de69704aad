"""How keys of a stream are handed to their master: those of each origin together, for the audit log."""

from keyhop.core.streams import Taken
from keyhop.network.pair import Pair
from keyhop.service.audit import Handed, Handover
from keyhop.service.origins import by_origin
from keyhop.service.requests import GetKey, KeyRun


def handed(request: GetKey, pair: Pair, taken: Taken, run: KeyRun) -> Handed:
    """The keys of a run that was made of what was taken."""
    found: dict[Handover, list[KeyRun]] = {}
    master, slaves = request.master, (request.slave,)
    for origin, keys in by_origin(run, taken.position, taken.ages, pair.owned.ref):
        made_by = run.made_by(origin.source)
        how = Handover("enc_keys", request.interface, master, master, slaves, origin.paths, made_by)
        found.setdefault(how, []).append(keys)
    return found
