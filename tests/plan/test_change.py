"""What a change of a spec causes: two plans of one observation, by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.change import MAX_NAMED, Side, change
from regsync.plan.codec import plan_document, plan_from_json
from regsync.plan.decide import plan
from regsync.plan.document import encode
from regsync.plan.model import Cause, Left, Outcome, Plan, Problem, Unguarded
from regsync.plan.observation import Observation, TagSeen, TargetSeen, UnitSeen
from regsync.spec.model import Location, Registry, RemotePlace, Settings, Spec, Unit
from regsync.spec.verification import Mode, SignatureRequirement, VerificationPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
APP = RepositoryName("app")
DOWN = Problem(Outcome.FAILED, Cause.TEMPORARY, "hub/app: down")
PROD = VerificationPolicy("prod", {}, SignatureRequirement("ops"))


def spec(*policies: VerificationPolicy, **hosts: str) -> Spec:
    names = {"hub": "hub", "eu": "eu", "us": "us", **hosts}
    registries = {name: Registry(name, RemotePlace("https", f"{host}.test")) for name, host in names.items()}
    found = {policy.name: policy for policy in policies}
    return Spec(registries, (), Settings(Path("l")), Digest.of(b""), Path(), (), policies=found)


def unit(
    tags: dict[str, str],
    *targets: str,
    there: str | None = None,
    mirror: str = "app",
    verify: tuple[str, ...] = (),
    problem: Problem | None = None,
) -> UnitSeen:
    """Tags with what they are at the source; at each target all are `there`, or absent."""
    locations = tuple(Location(target, APP) for target in targets or ("eu",))
    hub = Location("hub", APP)
    old = Digest.of(there.encode()) if there is not None else None
    seen = tuple(
        TagSeen(
            *(hub, Tag(tag), Tag(tag), Digest.of(content.encode()), Digest.of(content.encode())),
            tuple(TargetSeen(location, old) for location in locations),
            10,
        )
        for tag, content in tags.items()
    )
    whole = Unit(mirror, APP, (hub,), locations, verify=verify)
    return UnitSeen(whole, () if problem else seen, (problem,) if problem else ())


def side(one: Spec, *units: UnitSeen, warnings: tuple[str, ...] = ()) -> Side:
    seen = Observation(units, warnings)
    return Side(one, seen, plan(one.digest, seen, now=NOW))


def caused(head: Side, base: Side | None) -> Plan:
    found = change(head, base, revision="main", commit="c" * 40)
    raw = "".join(encode(plan_document(found))).encode()
    assert plan_from_json(raw).base == found.base
    return found


def tags(found: Plan) -> list[tuple[str, str | None]]:
    return [(str(one.target), one.tag) for one in found.actions]


def test_what_both_would_do_is_left_out_and_counted() -> None:
    head = side(spec(), unit({"v1": "a", "v2": "b"}), warnings=("old", "new"))
    base = side(spec(), unit({"v1": "a"}), warnings=("old",))
    found = caused(head, base)
    assert tags(found) == [("eu/app", "v2")]
    assert found.base is not None
    assert found.base.anyway == 1
    assert found.warnings == ("new",)


def test_a_tag_that_moves_by_the_change_is_shown_with_both_digests() -> None:
    found = caused(
        side(spec(), unit({"v1": "new"}, there="old")), side(spec(), unit({"v1": "old"}, there="old"))
    )
    (action,) = found.actions
    assert (action.digest, action.replaces) == (Digest.of(b"new"), Digest.of(b"old"))


def test_places_count_and_names_do_not() -> None:
    head = side(spec(here="eu"), unit({"v1": "a"}, "here", mirror="renamed"))
    assert caused(head, side(spec(), unit({"v1": "a"}, "eu"))).actions == ()
    moved = side(spec(eu="elsewhere"), unit({"v1": "a"}, "eu"))
    found = caused(moved, side(spec(), unit({"v1": "a"}, "eu")))
    assert tags(found) == [("eu/app", "v1")]
    assert found.base is not None
    assert [one.count for one in found.base.left] == [1]


def test_what_nothing_keeps_any_more_is_named_in_part_and_counted() -> None:
    many = {f"v{number:02}": "a" for number in range(MAX_NAMED + 5)}
    found = caused(side(spec(), unit({"v00": "a"})), side(spec(), unit(many, "eu", "us")))
    assert found.base is not None
    eu, us = found.base.left
    assert eu == Left("app", Location("eu", APP), tuple(sorted(many)[1 : MAX_NAMED + 1]), MAX_NAMED + 4)
    assert us.count == MAX_NAMED + 5


def test_what_could_not_be_read_is_not_taken_for_gone_or_new() -> None:
    base = side(spec(), unit({"v1": "a"}))
    found = caused(side(spec(), unit({}, problem=DOWN)), base)
    assert found.base is not None
    assert found.base.left == ()
    assert [one.problem for one in found.actions] == [DOWN]
    found = caused(base, side(spec(), unit({}, problem=DOWN)))
    assert any("could not be read" in one for one in found.warnings)


def test_a_source_that_is_down_for_both_is_no_change() -> None:
    down = side(spec(), unit({}, problem=DOWN))
    found = caused(down, down)
    assert (found.actions, found.warnings) == ((), ())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(("prod",), ("prod",), [], id="as before"),
        pytest.param(("prod",), (), [Unguarded("app", Location("eu", APP), ("prod",), ())], id="taken away"),
        pytest.param((), ("prod",), [], id="added"),
    ],
)
def test_what_no_policy_enforces_any_more(
    before: tuple[str, ...], after: tuple[str, ...], expected: list[Unguarded]
) -> None:
    head = side(spec(PROD), unit({"v1": "a"}, verify=after))
    found = caused(head, side(spec(PROD), unit({"v1": "a"}, verify=before)))
    assert found.base is not None
    assert list(found.base.unguarded) == expected


def test_a_policy_that_only_warns_from_now_on_guards_no_more() -> None:
    warns = replace(PROD, mode=Mode.WARN)
    head, base = (side(spec(one), unit({"v1": "a"}, verify=("prod",))) for one in (warns, PROD))
    found = caused(head, base)
    assert found.base is not None
    assert [one.policies for one in found.base.unguarded] == [("prod",)]


def test_a_new_target_without_a_policy_is_told_of_where_others_have_one() -> None:
    old = unit({"v1": "a"}, "eu", verify=("prod",))
    new = unit({"v1": "a"}, "us", mirror="new")
    found = caused(side(spec(PROD), old, new), side(spec(PROD), old))
    assert found.base is not None
    assert found.base.unguarded == (Unguarded("new", Location("us", APP), (), ()),)
    plain = caused(side(spec(), new), None)
    assert plain.base is not None
    assert plain.base.unguarded == ()


TAGS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["1", "2", "3"]))
SIDES = st.builds(
    lambda found, there: side(spec(), unit(found, "eu", "us", there=there)),
    TAGS,
    st.sampled_from([None, "1", "2"]),
)


@given(SIDES)
def test_no_change_causes_nothing(one: Side) -> None:
    found = caused(one, one)
    assert found.actions == ()
    assert found.base is not None
    assert found.base.anyway == len(one.plan.pending)
    assert found.base.left == found.base.unguarded == ()


@given(SIDES, SIDES)
def test_what_is_shown_and_what_is_left_out_make_the_whole(head: Side, base: Side) -> None:
    found = caused(head, base)
    assert set(found.actions) <= set(head.plan.actions)
    assert found.base is not None
    assert found.base.anyway + len(found.pending) == len(head.plan.pending)
    assert {one.problem for one in found.actions} == ({None} if found.actions else set())
