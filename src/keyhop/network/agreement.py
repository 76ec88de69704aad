"""What the two ends of a pair remember, compared once a session, and what each end then does about it.

Both draw the same verdicts (`marks`) from the same two States, so each does its half without another message.
"""

from collections.abc import Callable

from keyhop.core.audit import event_record
from keyhop.core.errors import PeerError
from keyhop.core.journal import Journal
from keyhop.core.records import RecordBook
from keyhop.core.streams import FollowedStream, OwnedStream, StreamRef
from keyhop.network import wire
from keyhop.network.marks import Verdict, compare, next_epoch


class Agreement:
    """Keeps the two streams of one pair to a history that both ends remember."""

    def __init__(
        self,
        owned: OwnedStream,
        followed: FollowedStream,
        records: RecordBook,
        journal: Journal,
        on_owned_closed: Callable[[], None],
    ) -> None:
        self._owned = owned
        self._followed = followed
        self._records = records
        self._journal = journal
        self._on_owned_closed = on_owned_closed
        self._told: wire.State | None = None
        self.doubted = False
        """Whether another node that claims to be this one may have delivered what we would: until the ends agree."""

    def begin(self) -> None:
        """A new session: what we remember is looked at anew."""
        self._told = None

    def state(self) -> wire.State:
        """What we remembered when the session began; the verdict is drawn from that on both ends."""
        if self._told is None:
            owned, followed = self._owned, self._followed
            self._told = wire.State(
                wire.OwnerMarks(owned.epoch, owned.produced, owned.taken, owned.mark_seen, owned.history),
                wire.FollowerMarks(
                    epoch=followed.epoch,
                    produced=followed.produced,
                    taken=followed.taken,
                    mark=followed.mark,
                    history=followed.history,
                    confirmed=followed.confirmed,
                    confirmed_history=followed.confirmed_history,
                ),
            )
        return self._told

    def reach(self, theirs: wire.State) -> None:
        """Does what follows from both States. Raises PeerError for one that no peer of ours can be in."""
        ours = self.state()
        _check_plausible(ours, theirs)
        verdicts = (
            self._judge_owned(ours.owned, theirs.followed),
            self._judge_followed(theirs.owned, ours.followed),
        )
        if verdicts[0] is Verdict.OWNER_FORGOT or verdicts[1] is Verdict.FOLLOWER_FORGOT:
            if self.doubted:
                self._records.forget_all()
            else:
                self._records.forget_stored()  # restored from a backup: some of them may have been delivered since
        self.doubted = False

    def _judge_owned(self, owner: wire.OwnerMarks, follower: wire.FollowerMarks) -> Verdict:
        verdict = compare(owner, follower)
        if verdict is not Verdict.AGREE:
            self._owned.close_epoch(next_epoch(owner, follower))
            self._on_owned_closed()
            if verdict is Verdict.FOLLOWER_FORGOT:  # and is told so again if it does not hear of this verdict
                self._owned.note_mark(follower.mark + 1)
            self._record(verdict, self._owned.ref)
        return verdict

    def _judge_followed(self, owner: wire.OwnerMarks, follower: wire.FollowerMarks) -> Verdict:
        verdict = compare(owner, follower)
        match verdict:
            case Verdict.AGREE:
                if follower.epoch == owner.epoch and follower.produced > owner.produced:
                    self._followed.forget_unconfirmed(follower.epoch)
                self._followed.close_before(owner.epoch)
                self._followed.note_taken(owner.epoch, owner.taken)
            case Verdict.OWNER_FORGOT:
                self._followed.close_before(next_epoch(owner, follower))
            case Verdict.FOLLOWER_FORGOT:
                self._followed.forget_all(owner.mark_seen)
        if verdict is not Verdict.AGREE:
            self._followed.begin(next_epoch(owner, follower))
            self._record(verdict, self._followed.ref)
        return verdict

    def _record(self, verdict: Verdict, stream: StreamRef) -> None:
        reason = verdict.name.lower().replace("_", " ")
        self._journal.record(event_record("stream begins anew", stream=str(stream), reason=reason))


def check_ahead(theirs: int, ours: int) -> None:
    """Raises PeerError for an epoch or mark that no peer of ours can have reached."""
    if theirs > ours + wire.MAX_AHEAD:
        raise PeerError("a number that no peer of ours can have reached")


def _check_plausible(ours: wire.State, theirs: wire.State) -> None:
    check_ahead(theirs.owned.epoch, ours.followed.epoch)
    check_ahead(theirs.owned.mark_seen, ours.followed.mark)
    check_ahead(theirs.followed.epoch, ours.owned.epoch)
    check_ahead(theirs.followed.mark, ours.owned.mark_seen)
    if theirs.owned.taken > theirs.owned.produced or theirs.followed.taken > theirs.followed.produced:
        raise PeerError("more was taken than was produced")
