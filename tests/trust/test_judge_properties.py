"""What holds of every verdict, whatever the policy asks and whatever is found."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.spec.verification import (
    AllOf,
    AtLeast,
    AttestationRequirement,
    Requirement,
    Select,
    SignatureRequirement,
)
from regsync.trust.verdict import Result, Verdict
from tests.support.images import Content
from tests.support.sigstore_evidence import SLSA, VULN
from tests.support.vouched import APP, DAY, NOW, OTHER, UNKNOWN_LOG, Court, attested, signed

NAMES = ("a", "b", "c")
TRUSTED = {"a": ("ann", "bob"), "b": ("bob", "cyd"), "c": "ann"}
STRANGERS = ("mallory", UNKNOWN_LOG)
TIMES = (None, NOW - DAY, NOW - 2 * DAY, NOW - 9 * DAY)

leaves = st.one_of(
    st.builds(SignatureRequirement, st.sampled_from(NAMES)),
    st.builds(
        AttestationRequirement,
        st.sampled_from([SLSA, VULN]),
        st.sampled_from(NAMES),
        select=st.sampled_from(Select),
        max_age=st.sampled_from([None, 7 * DAY]),
    ),
)


def _above(inner: st.SearchStrategy[Requirement]) -> st.SearchStrategy[Requirement]:
    some = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.builds(AllOf, some), st.builds(AtLeast, st.integers(1, 3), some))


requirements = st.recursive(leaves, _above, max_leaves=6)


def evidence_by(*names: str) -> st.SearchStrategy[Content]:
    who, subject = st.sampled_from(names), st.sampled_from([APP, APP, APP, OTHER])
    return st.one_of(
        st.builds(lambda one, of, at: signed(one, of, at=at), who, subject, st.sampled_from(TIMES)),
        st.builds(
            lambda one, kind, of, at: attested(one, kind, {}, of, at=at),
            who,
            st.sampled_from([SLSA, VULN]),
            subject,
            st.sampled_from(TIMES),
        ),
    )


anything = st.lists(evidence_by("ann", "bob", "cyd", *STRANGERS), max_size=6)


def judged(require: Requirement, evidence: Sequence[Content]) -> Verdict:
    return Court(require, **TRUSTED).judge(*evidence)  # type: ignore[arg-type]


def _takes_any(require: Requirement) -> bool:
    """Whether more of what is trusted can only help: no attestation has to be the newest, or one of all."""
    match require:
        case AllOf(of) | AtLeast(_, of):
            return all(map(_takes_any, of))
        case AttestationRequirement():
            return require.select is Select.ANY
        case _:
            return True


@settings(deadline=None)
@given(requirements, anything, st.randoms(use_true_random=False))
def test_the_order_of_evidence_never_matters(
    require: Requirement, evidence: list[Content], chance: object
) -> None:
    shuffled = list(evidence)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judged(require, evidence) == judged(require, shuffled)


@settings(deadline=None)
@given(requirements, anything, st.lists(evidence_by(*STRANGERS), min_size=1, max_size=3))
def test_what_strangers_sign_never_turns_a_verdict(
    require: Requirement, evidence: list[Content], theirs: list[Content]
) -> None:
    before, after = judged(require, evidence), judged(require, [*evidence, *theirs])
    assert (before.result is Result.PASS) == (after.result is Result.PASS)
    assert before.signers == after.signers


@settings(deadline=None)
@given(requirements.filter(_takes_any), anything, st.integers(0, 5))
def test_taking_evidence_away_never_makes_it_pass(
    require: Requirement, evidence: list[Content], number: int
) -> None:
    fewer = evidence[:number] + evidence[number + 1 :]
    if judged(require, fewer).result is Result.PASS:
        assert judged(require, evidence).result is Result.PASS


@settings(deadline=None)
@given(requirements, anything)
def test_a_pass_has_signers_and_everything_else_a_reason(
    require: Requirement, evidence: list[Content]
) -> None:
    verdict = judged(require, evidence)
    assert (verdict.result is Result.PASS) == (verdict.reason is None) == bool(verdict.signers)
