"""What plans and reports made by hand consist of."""

from datetime import UTC, datetime

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.judgement import Judgement
from regsync.plan.model import (
    Action,
    Cause,
    Outcome,
    Problem,
    Verb,
)
from regsync.spec.model import Location
from regsync.spec.verification import Mode
from regsync.trust.verdict import Result as Verdict

MOMENT = datetime(2026, 11, 24, 16, 42, 5, tzinfo=UTC)
SPEC = Digest.of(b"spec")


def action(
    tag: str | None,
    verb: Verb = Verb.CREATE,
    *,
    mirror: str = "base",
    repository: str = "library/nginx",
    target: str = "local",
    replaces: str | None = None,
    problem: Problem | None = None,
    reason: str = "semver '>=1.25', newest 3 per minor",
    size: int | None = 71_200_000,
    verdicts: tuple[Judgement, ...] = (),
) -> Action:
    name = RepositoryName.parse(repository)
    return Action(
        verb=verb,
        mirror=mirror,
        source=Location("hub", name),
        target=Location(target, name),
        tag=Tag(tag) if tag is not None else None,
        digest=Digest.of(f"{repository}:{tag}".encode()),
        replaces=Digest.of(replaces.encode()) if replaces is not None else None,
        size=size,
        reason=reason,
        source_tag=Tag(tag) if tag is not None else None,
        source_digest=Digest.of(f"{repository}:{tag}".encode()),
        problem=problem,
        verdicts=verdicts,
    )


SIGNED = Judgement("prod", Mode.ENFORCE, Verdict.PASS, None, ("ops-key",))
TOLERATED = Judgement("scans", Mode.WARN, Verdict.FAIL, "no attestation of a scan")
PASSED_OVER = Judgement("vendors", Mode.ENFORCE, Verdict.SKIPPED, "vendor does not sign yet")
BLOCKED = Problem(
    Outcome.BLOCKED, Cause.POLICY, "the tag is immutable and moved at the source", "see `immutable`"
)
FAILED = Problem(Outcome.FAILED, Cause.ERROR, "ghcr.io/acme/app: 403 DENIED requested access is denied")
LATER = Problem(Outcome.DEFERRED, Cause.TEMPORARY, "docker.io asks to wait 2 h, at most 5 min are waited")
