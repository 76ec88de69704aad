"""What is told of keys that the master brings itself, and of keys that it takes back."""

from keyhop.node.policy.story import Story
from keyhop.service.kme import Kme
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import SAE_SOURCE

INSERT, VOID = "keyhop_insert", "keyhop_void"


def tell_of_own_keys(story: Story) -> None:
    """Of a configuration: whether the master may bring keys, and void those that it has."""
    site, question = story.site, story.question
    home, slaves_home = site.home(question.master), site.home(question.slave)
    if home is None or slaves_home is None or question.master == question.slave:
        return
    if site.me in (home, slaves_home):
        against = _against(story)
        text = against or _allowed(story, story.policy)
        story.tell_beside(INSERT, "no" if against else "yes", text)
    if home == site.me and not site.crossing.foreign(question.master):
        story.tell_beside(VOID, "yes", f"keys that {question.slave} has not fetched, whatever the policy is by then")


def tell_of_own_keys_now(story: Story, kme: Kme) -> None:
    """Of a KME that runs: whether what has to answer does. Replaces what was told of the configuration."""
    site, target = story.site, story.target
    if target is None or target not in kme.peers or site.home(story.question.master) != site.me:
        return
    if not kme.peers[target].synchronised:
        story.tell_beside(VOID, "no", f"KME {target} is not connected, and only it knows what was fetched")
        if story.may(INSERT):
            story.tell_beside(INSERT, "no", f"KME {target} is not connected")


def _against(story: Story) -> str | None:
    policy = story.policy
    if policy is None:
        return "these SAEs may not share keys"
    barring = {"way", "other domain"} | ({"sources"} if story.target != story.site.me else set())  # those of pads
    barred = [step.about for step in story.steps if step.verdict == "no" and step.about in barring]
    if barred:
        return f"the same is against it: {', '.join(barred)}"
    if policy.sources is not None and SAE_SOURCE not in policy.sources:
        return f"the sources of keys do not include {SAE_SOURCE}"
    if policy.hybrid == "kdf" and story.target != story.site.me:
        return "with hybrid = kdf a key is made, and none can be chosen"
    return None


def _allowed(story: Story, policy: PairPolicy | None) -> str:
    assert policy is not None  # else something is against it
    text = f"keys of {policy.min_size_bits} to {policy.max_size_bits} bits, {policy.max_keys_per_request} in a request"
    if policy.hybrid == "xor" and story.target != story.site.me:
        text += ", combined with ML-KEM on their way"
    return text
