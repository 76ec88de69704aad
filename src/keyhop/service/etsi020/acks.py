"""What acknowledgements of another KMS say."""

from keyhop.service.etsi020.models import Ack, Acks, key_ids, read
from keyhop.service.etsi020.problems import Problem
from keyhop.service.etsi020.transfer import Saes


def concerns(ack: Ack, saes: Saes) -> bool:
    """There may be an acknowledgement for each target, or one for all of them."""
    return ack.initiator_sae_id == saes.initiator and set(ack.target_sae_ids) <= set(saes.targets)


def harmless(text: str) -> str:
    """A message of theirs, for people."""
    return "".join(c if c.isprintable() else " " for c in text[:200])


def acks_in(body: bytes) -> list[tuple[Ack, list[bytes]]]:
    """What the body of an answer acknowledges, each with the IDs of its keys; nothing if it is something else."""
    try:
        return [(ack, list(key_ids(key.key_id for key in ack.key_id_container))) for ack in read(body, Acks)]
    except Problem:
        return []


def all_relayed(body: bytes) -> bool:
    """The answer to a synchronous call: acknowledgements, or nothing that says otherwise."""
    return all(ack.ack_status == "relayed" for ack, _ in acks_in(body))
