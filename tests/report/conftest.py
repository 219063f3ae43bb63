"""Plans and reports made by hand, one of every case."""

import pytest
from handmade import BLOCKED, FAILED, LATER, MOMENT, PASSED_OVER, SIGNED, SPEC, TOLERATED, action

from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Cause, Explanation, Outcome, Plan, Problem, Report, Result, RunInfo, Verb
from regsync.spec.model import Location


@pytest.fixture
def plan() -> Plan:
    return Plan(
        SPEC,
        MOMENT,
        (
            action("1.27.1"),
            action("1.27.2"),
            action("latest", Verb.UPDATE, replaces="old", reason="moved at the source"),
            action("v1.0", Verb.UPDATE, replaces="other", problem=BLOCKED),
            action("1.0", mirror="apps", repository="acme/app", target="ecr-us", problem=FAILED, size=None),
        ),
        unchanged=120,
        warnings=("ghcr.io says: this registry closes on Sunday",),
    )


@pytest.fixture
def explained(plan: Plan) -> Plan:
    nginx = Location("hub", RepositoryName("library/nginx"))
    return Plan(
        plan.spec_digest,
        plan.created,
        plan.actions,
        plan.unchanged,
        explanations=(
            Explanation("base", nginx, Tag("1.27.1"), kept=True, why="semver '>=1.25': newest 3 per minor"),
            Explanation("base", nginx, Tag("1.2.9"), kept=False, why="no rule matches"),
        ),
    )


@pytest.fixture
def judged(plan: Plan) -> Plan:
    verdicts = (SIGNED, TOLERATED, PASSED_OVER)
    return Plan(plan.spec_digest, plan.created, (action("1.27.3", verdicts=verdicts), *plan.actions), 120)


@pytest.fixture
def report() -> Report:
    degraded = Problem(
        Outcome.DEGRADED, None, "ecr-us refuses a referrer of type application/spdx+json (405)"
    )
    moved = Problem(Outcome.REFUSED, Cause.POLICY, "the target moved since it was observed", "plan again")
    return Report(
        SPEC,
        (
            Result(action("1.27.1"), Outcome.DONE, None, copied=70_000_000, reused=1_200_000),
            Result(action("1.27.2"), Outcome.DEGRADED, degraded, copied=1_000),
            Result(action("latest", Verb.UPDATE, replaces="old"), Outcome.REFUSED, moved),
            Result(action("2.0", mirror="later"), Outcome.DEFERRED, LATER),
            Result(action("1.0", mirror="apps", repository="acme/app"), Outcome.FAILED, FAILED),
        ),
        unchanged=120,
        run=RunInfo("f00", MOMENT, 12.3456, {"hub": {"manifest": 3, "blob": 8}}, 71_001_000),
    )
