"""Who may do what where: the rules, against a plain reading of them."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.reference import RepositoryName, Tag
from regsync.server.access import Action, Principal
from regsync.server.immutability import Immutability
from regsync.server.role_access import RoleAccess
from regsync.server.roles import Roles
from regsync.spec.globs import matches
from regsync.spec.server import ACTIONS, AccessRule, ImmutableRule, Subject, SubjectKind

ANONYMOUS = Subject(SubjectKind.ANONYMOUS)
ANYBODY = Subject(SubjectKind.AUTHENTICATED)
APP = RepositoryName("team/app")


def user(name: str) -> Subject:
    return Subject(SubjectKind.USER, name)


def group(name: str) -> Subject:
    return Subject(SubjectKind.GROUP, name)


def claim(key: str, glob: str, issuer: str = "github") -> Subject:
    return Subject(SubjectKind.CLAIM, key, glob, issuer)


def rule(subject: Subject, glob: str, *actions: str) -> AccessRule:
    return AccessRule((subject,), (glob,), frozenset(actions))


def allowed(rules: list[AccessRule], who: Principal, name: RepositoryName = APP) -> set[str]:
    access = RoleAccess(Roles(rules))
    return {action.value for action in Action if access.allows(who, action, name)}


def bearer(**claims: object) -> Principal:
    return Principal("github:me", claims=claims, issuer="github")


def test_what_no_rule_allows_is_denied() -> None:
    assert allowed([], Principal()) == set()
    assert allowed([rule(user("ann"), "**", "pull")], Principal("bob")) == set()
    assert allowed([rule(user("ann"), "other/**", "pull")], Principal("ann")) == set()


def test_rules_add_up() -> None:
    rules = [rule(ANYBODY, "team/*", "pull"), rule(user("ann"), "team/app", "push", "delete")]
    assert allowed(rules, Principal("ann")) == {"pull", "push", "delete"}
    assert allowed(rules, Principal("bob")) == {"pull"}
    assert allowed(rules, Principal()) == set()


def test_nobody_loses_by_logging_in_what_anonymous_may_do() -> None:
    assert allowed([rule(ANONYMOUS, "**", "pull")], Principal("ann")) == {"pull"}
    assert allowed([rule(ANYBODY, "**", "pull")], Principal()) == set()


def test_admin_is_all_of_them() -> None:
    assert allowed([rule(user("ann"), "**", "admin")], Principal("ann")) == set(ACTIONS)


def test_a_group_is_that_of_the_login_not_a_user_of_that_name() -> None:
    rules = [rule(group("ci"), "**", "pull")]
    assert allowed(rules, Principal("ann", frozenset({"ci"}))) == {"pull"}
    assert allowed(rules, Principal("ci")) == set()


@pytest.mark.parametrize(
    ("value", "glob", "expected"),
    [
        pytest.param("acme/app", "acme/*", True, id="text"),
        pytest.param("acme-evil/app", "acme/*", False, id="another owner"),
        pytest.param(
            "repo:acme/app:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main", True, id="sub"
        ),
        pytest.param(
            "repo:acme/app:pull_request", "repo:acme/app:ref:refs/heads/*", False, id="pull request"
        ),
        pytest.param(["a", "b"], "b", True, id="one of a list"),
        pytest.param([["b"]], "b", False, id="a list in a list"),
        pytest.param(True, "true", True, id="a truth"),
        pytest.param(7, "7", True, id="a number"),
        pytest.param({"b": "b"}, "**", False, id="an object"),
        pytest.param(None, "**", False, id="nothing"),
    ],
)
def test_claims_match_by_glob(value: object, glob: str, expected: bool) -> None:
    assert bool(allowed([rule(claim("c", glob), "**", "pull")], bearer(c=value))) is expected


def test_a_claim_of_another_issuer_is_another_claim() -> None:
    rules = [rule(claim("c", "x", issuer="gitlab"), "**", "pull")]
    assert allowed(rules, bearer(c="x")) == set()


NAMES = ["a", "a/b", "a/b/c", "prod/app", "team-a/app", "team-a/x/y"]
GLOBS = ["**", "*", "a/*", "a/**", "prod/**", "team-?/app", "team-[ab]/**", "a/b"]
SUBJECTS = [ANONYMOUS, ANYBODY, user("ann"), user("bob"), group("ci"), claim("r", "x*")]
PEOPLE = [
    Principal(),
    Principal("ann"),
    Principal("bob", frozenset({"ci"})),
    Principal("github:r", frozenset({"github:ci"}), {"r": "xy"}, "github"),
    Principal("gitlab:r", frozenset(), {"r": "xy"}, "gitlab"),
]


def is_meant(subject: Subject, who: Principal) -> bool:
    """A second reading of what a subject says."""
    return {
        SubjectKind.ANONYMOUS: True,
        SubjectKind.AUTHENTICATED: who.name != "",
        SubjectKind.USER: who.name == subject.name,
        SubjectKind.GROUP: subject.name in who.groups,
        SubjectKind.CLAIM: who.issuer == subject.issuer
        and fnmatchcase(str(who.claims.get(subject.name, "")), subject.glob),
    }[subject.kind]


rules_of_any_kind = st.lists(
    st.builds(
        AccessRule,
        st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3).map(tuple),
        st.lists(st.sampled_from(GLOBS), min_size=1, max_size=3).map(tuple),
        st.sets(st.sampled_from(ACTIONS), min_size=1).map(frozenset),
    ),
    max_size=6,
)


@given(rules_of_any_kind, st.permutations([(who, name) for who in PEOPLE for name in NAMES]))
def test_every_answer_is_that_of_the_rules_read_one_by_one(
    rules: list[AccessRule], questions: list[tuple[Principal, str]]
) -> None:
    roles = Roles(rules)
    access = RoleAccess(roles)
    for who, text in questions:
        name = RepositoryName(text)
        given_actions = {
            action
            for one in rules
            for action in one.actions
            if any(is_meant(subject, who) for subject in one.subjects)
            and any(matches(glob, name) for glob in one.repositories)
        }
        for action in Action:
            expected = action.value in given_actions or "admin" in given_actions
            assert access.allows(who, action, name) is expected
            assert access.allows(roles.granted(who), action, name) is expected


@given(rules_of_any_kind, rules_of_any_kind, st.sampled_from(PEOPLE), st.sampled_from(NAMES))
def test_a_rule_more_takes_nothing_away(
    rules: list[AccessRule], more: list[AccessRule], who: Principal, name: str
) -> None:
    repository = RepositoryName(name)
    assert allowed(rules, who, repository) <= allowed([*rules, *more], who, repository)


def test_what_is_remembered_is_bounded() -> None:
    grants = Roles([rule(ANONYMOUS, "a/**", "pull")]).grants(Principal())
    for number in range(10_000):
        assert grants.on(RepositoryName(f"a/{number}")) == {Action.PULL}
        assert grants.on(RepositoryName(f"b/{number}")) == set()
    assert len(grants._known) <= 4096


def test_immutable_tags_are_those_of_any_rule_for_the_repository() -> None:
    immutable = Immutability(
        [ImmutableRule(("prod/**",), ("v*", "release")), ImmutableRule(("**",), ("final",))]
    )
    found = {
        f"{name}:{tag}": immutable(RepositoryName(name), Tag(tag))
        for name in ("prod/app", "dev/app")
        for tag in ("v1", "release", "final", "latest")
    }
    assert {one for one, is_fixed in found.items() if is_fixed} == {
        "prod/app:v1",
        "prod/app:release",
        "prod/app:final",
        "dev/app:final",
    }
