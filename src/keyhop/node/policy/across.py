"""What is told of two SAEs that are in different domains."""

from keyhop.core.errors import Unauthorised
from keyhop.node.policy.story import Story
from keyhop.service.kme import Kme
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import RECORD_SOURCE

ABOUT = "other domain"


def tell_across(story: Story) -> None:
    """Of a configuration: what two domains cannot promise each other, and what they do."""
    question, crossing, policy = story.question, story.site.crossing, story.policy
    leaves, comes = crossing.foreign(question.slave), crossing.foreign(question.master)
    if policy is None or story.target is None or not (leaves or comes):
        return
    try:
        if leaves:
            crossing.check_departure(question.slave, policy, (question.slave,))
            _check_departure(story, policy)
        if comes:
            crossing.check_arrival(question.master, question.slave, policy)
    except Unauthorised as refusal:
        story.no(ABOUT, refusal.message)
        return
    held = "the gateways of both domains know the key, and each domain goes by its own policy"
    if leaves and not comes:
        held += f"; it may take {policy.abroad_wait_s:g} s there and back"
    story.yes(ABOUT, held)


def _check_departure(story: Story, policy: PairPolicy) -> None:
    slave = story.question.slave
    if policy.hybrid != "none":
        raise Unauthorised(f"for SAE {slave} keys are combined with ML-KEM, and those of another domain cannot be")
    if policy.sources is not None and RECORD_SOURCE not in policy.sources:
        raise Unauthorised(f"for SAE {slave} the sources of keys do not include {RECORD_SOURCE}")


def tell_of_kms(story: Story, kme: Kme) -> None:
    """Of a KME that runs: whether the KMS that it would hand the key to answers."""
    kms = kme.gateway.leads_to(story.question.slave)
    if kms is None:
        return
    interchange = kme.gateway[kms]
    if interchange.trouble is not None:
        story.no("KMS", f"{kms}: {interchange.trouble}")
    elif interchange.reachable:
        story.yes("KMS", f"{kms} answers")
    else:
        story.note("KMS", f"{kms} has not been asked yet")
