"""The plan as a function of what was seen: tables, and what always holds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.errors import DeferredError, RefusedError, RegsyncError, TemporaryError, UnsupportedError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.decide import plan, plan_tag
from regsync.plan.model import Action, Cause, Outcome, Problem, Verb, exit_code, problems_of
from regsync.plan.observation import Observation, TagSeen, TargetSeen, UnitSeen
from regsync.spec.model import Location, Unit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = Digest.of(b"spec")
NEW, OLD, OTHER = (Digest.of(text) for text in (b"new", b"old", b"other"))
HUB = Location("hub", RepositoryName("app"))
EU, US = (Location(name, RepositoryName("app")) for name in ("eu", "us"))
UNIT = Unit("app", RepositoryName("app"), (HUB,), (EU, US))
DOWN = Problem(Outcome.FAILED, Cause.TEMPORARY, "down")


def seen(*targets: TargetSeen, digest: Digest | None = NEW, **more: object) -> TagSeen:
    return TagSeen(HUB, Tag("v1"), Tag("v1"), digest, digest, targets, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        pytest.param(seen(TargetSeen(EU, NEW)), None, id="the same digest is nothing to do"),
        pytest.param(seen(TargetSeen(EU)), (Verb.CREATE, None, None), id="what is absent is created"),
        pytest.param(seen(TargetSeen(EU, OLD)), (Verb.UPDATE, OLD, None), id="what moved is updated"),
        pytest.param(
            seen(TargetSeen(EU, NEW, evidence_lacking=2)),
            (Verb.UPDATE, NEW, None),
            id="the same digest without its evidence is updated",
        ),
        pytest.param(seen(TargetSeen(EU, OLD, kept=True)), None, id="an immutable tag stays"),
        pytest.param(
            seen(TargetSeen(EU, OLD, kept=True), digest=None, problem=DOWN),
            None,
            id="an immutable tag stays well when its source is down",
        ),
        pytest.param(
            seen(TargetSeen(EU, OLD), moves=False), None, id="a later source moves nothing that is there"
        ),
        pytest.param(
            seen(TargetSeen(EU), moves=False), (Verb.CREATE, None, None), id="a later source creates"
        ),
        pytest.param(
            seen(TargetSeen(EU), digest=None, problem=DOWN),
            (Verb.CREATE, None, DOWN),
            id="an unreadable source is a problem of each target",
        ),
        pytest.param(
            seen(TargetSeen(EU, problem=DOWN)), (Verb.CREATE, None, DOWN), id="so is an unreadable target"
        ),
        pytest.param(
            seen(TargetSeen(EU, NEW, problem=DOWN)),
            (Verb.UPDATE, NEW, DOWN),
            id="evidence that could not be compared is not unchanged",
        ),
    ],
)
def test_one_tag_of_one_target(
    tag: TagSeen, expected: tuple[Verb, Digest | None, Problem | None] | None
) -> None:
    found = [(one.verb, one.replaces, one.problem) for one in plan_tag(UNIT, tag)]

    assert found == ([expected] if expected else [])


def test_each_target_is_decided_for_itself() -> None:
    actions = plan_tag(UNIT, seen(TargetSeen(EU, NEW), TargetSeen(US)))

    assert [one.target for one in actions] == [US]


def test_a_repository_that_could_not_be_read_is_listed_for_each_target() -> None:
    made = plan(SPEC, Observation((UnitSeen(UNIT, (), (DOWN,)),)), now=NOW)

    assert [(one.target, one.problem) for one in made.actions] == [(EU, DOWN), (US, DOWN)]
    assert made.pending == ()
    assert exit_code(problems_of(made.actions)) == 75


class NoError(RefusedError):
    pass


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (RegsyncError("e"), Outcome.FAILED, 1),
        (TemporaryError("e"), Outcome.FAILED, 75),
        (DeferredError("e"), Outcome.DEFERRED, 75),
        (UnsupportedError("e"), Outcome.BLOCKED, 1),
        (NoError("e"), Outcome.BLOCKED, 3),
    ],
)
def test_an_error_becomes_an_outcome_and_an_exit_code(
    error: RegsyncError, outcome: Outcome, code: int
) -> None:
    problem = Problem.of(error)

    assert problem.outcome is outcome
    assert exit_code([problem]) == code


@pytest.mark.parametrize(
    ("causes", "pending", "code"),
    [
        ([], 0, 0),
        ([], 3, 2),
        ([None], 0, 0),
        ([None], 1, 2),
        ([Cause.TEMPORARY], 3, 75),
        ([Cause.TEMPORARY, Cause.ERROR], 3, 1),
        ([Cause.TEMPORARY, Cause.ERROR, Cause.POLICY, None], 3, 3),
    ],
)
def test_exit_codes_of_mixtures(causes: list[Cause | None], pending: int, code: int) -> None:
    assert exit_code([Problem(Outcome.FAILED, one, "") for one in causes], pending=pending) == code


digests = st.sampled_from([NEW, OLD, OTHER])
problems = st.one_of(st.none(), st.just(DOWN))
targets = st.builds(
    TargetSeen,
    st.sampled_from([EU, US]),
    st.one_of(st.none(), digests),
    st.booleans(),
    st.integers(0, 2),
    problems,
)


@st.composite
def tags(draw: st.DrawFn) -> TagSeen:
    digest = draw(st.one_of(st.none(), digests))
    problem = draw(problems) if digest is not None else DOWN
    name = Tag(draw(st.sampled_from(["v1", "v2", "v3"])))
    found = tuple(draw(st.lists(targets, max_size=2, unique_by=lambda one: one.location)))
    return TagSeen(HUB, name, name, digest, digest, found, moves=draw(st.booleans()), problem=problem)


observed = st.lists(tags(), max_size=6, unique_by=lambda one: one.tag)


@given(observed, st.randoms())
def test_the_same_observation_in_any_order_gives_the_same_plan(found: list[TagSeen], chance) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(found)
    chance.shuffle(shuffled)

    plans = [plan(SPEC, Observation((UnitSeen(UNIT, tuple(one)),)), now=NOW) for one in (found, shuffled)]

    assert plans[0] == plans[1]


@given(observed)
def test_every_target_of_every_tag_is_counted_once(found: list[TagSeen]) -> None:
    made = plan(SPEC, Observation((UnitSeen(UNIT, tuple(found)),)), now=NOW)

    assert len(made.actions) + made.unchanged == sum(len(one.targets) for one in found)
    assert all(one.digest is not None for one in made.pending)


@given(observed)
def test_after_everything_was_done_there_is_nothing_to_do(found: list[TagSeen]) -> None:
    def after(tag: TagSeen, target: TargetSeen, done: dict[Location, Action]) -> TargetSeen:
        action = done.get(target.location)
        digest = action.digest if action is not None else target.digest
        return TargetSeen(target.location, digest, target.kept)

    healthy = [
        TagSeen(
            one.source,
            one.source_tag,
            one.tag,
            one.digest,
            one.digest,
            tuple(TargetSeen(t.location, t.digest, t.kept, t.evidence_lacking) for t in one.targets),
            moves=one.moves,
        )
        for one in found
        if one.digest is not None
    ]
    later = []
    for tag in healthy:
        done = {action.target: action for action in plan_tag(UNIT, tag)}
        targets_now = tuple(after(tag, target, done) for target in tag.targets)
        later.append(
            TagSeen(tag.source, tag.source_tag, tag.tag, tag.digest, tag.digest, targets_now, moves=tag.moves)
        )

    assert plan(SPEC, Observation((UnitSeen(UNIT, tuple(later)),)), now=NOW).actions == ()
