"""What one repository of a RetentionPolicy loses, as actions; and why nothing goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from regsync.errors import RefusedError, UnsupportedError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Action, Explanation, Problem, Verb
from regsync.plan.retention import RetentionDecision
from regsync.plan.retention_content import ContentDecision
from regsync.spec.model import Location
from regsync.spec.retention import RetentionPolicy

EVIDENCE = "evidence of an image that nothing leads to any more"


class RetentionLimitError(RefusedError):
    """More would go at once than a policy allows: none of it goes."""

    usual_hint = (
        "see `regsync prune --dry-run --explain`; if all of it is meant, raise limits of the policy for that "
        "change"
    )

    def __init__(self, policy: RetentionPolicy, location: Location, what: str, allowed: int) -> None:
        super().__init__(
            f"policy {policy.name}: {what} at {location} would be deleted, at most {allowed} may be: "
            "nothing is deleted there"
        )


class CannotDeleteHereError(UnsupportedError):
    """A place has no way to delete anything."""

    usual_hint = "take the repository out of the policy, or delete there by hand"

    def __init__(self, location: Location) -> None:
        super().__init__(f"{location}: nothing can be deleted there")


@dataclass(frozen=True, slots=True)
class RetentionScope:
    """What one repository loses."""

    location: Location
    decision: RetentionDecision
    digests: Mapping[Tag, Digest]  # of the tags that go, digest tags included
    content: ContentDecision | None  # None: it could not be told, or nothing could go
    problem: Problem | None = None  # why none of it goes
    why: Mapping[Tag, str] = field(default_factory=dict)  # of the tags that go by the policy's rules

    @property
    def tags(self) -> tuple[Action, ...]:
        """One for each tag that goes by the policy's rules."""
        return tuple(self._action(tag, self.why[tag]) for tag in self.decision.going)

    @property
    def evidence(self) -> tuple[Action, ...]:
        """One for each digest tag that goes with its subject."""
        return tuple(self._action(tag, EVIDENCE) for tag in self._evidence)

    @property
    def _evidence(self) -> tuple[Tag, ...]:
        return self.content.digest_tags if self.content is not None else ()

    @property
    def manifests(self) -> tuple[Action, ...]:
        """One for each manifest, in the order of their deletion."""
        if self.content is None:
            return ()
        since = self.content.unreached
        return tuple(
            self._deletion(None, digest, f"nothing has led to it since {since[digest]:%Y-%m-%d %H:%M} UTC")
            for digest in self.content.due
        )

    @property
    def actions(self) -> tuple[Action, ...]:
        """All of them."""
        return (*self.tags, *self.evidence, *self.manifests)

    def explanations(self) -> tuple[Explanation, ...]:
        """Why each tag stays or goes."""
        here, policy, gone = self.location, self.decision.policy, {*self._evidence}
        return tuple(
            Explanation(
                policy.name,
                here,
                one.tag,
                one.kept and one.tag not in gone,
                EVIDENCE if one.tag in gone else one.why,
                here,
            )
            for one in self.decision.fates()
        )

    def _action(self, tag: Tag, why: str) -> Action:
        return self._deletion(tag, self.digests.get(tag), why)

    def _deletion(self, tag: Tag | None, digest: Digest | None, why: str) -> Action:
        return Action(
            Verb.DELETE,
            self.decision.policy.name,
            self.location,
            self.location,
            tag,
            digest,
            digest,
            None,
            why,
            source_tag=tag,
            source_digest=digest,
            problem=self.problem,
        )
