"""What goes with tags that go: tables by names, and what always holds of any graph."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.retention_content import (
    ContentDecision,
    ContentSeen,
    decide_content,
    doubtful,
    needed_from_above,
)
from regsync.spec.retention import RetentionPolicy

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=8)
WEEK = timedelta(days=7)


def named(name: str) -> Digest:
    return Digest.of(name.encode())


def digests(names: str) -> list[Digest]:
    return [named(name) for name in names.split()]


def sig(name: str) -> Tag:
    return Tag(f"sha256-{named(name).encoded}.sig")


def decide(
    staying: str = "",
    going: str = "",
    *,
    graphs: Mapping[str, str] | None = None,
    signed: Sequence[str] = (),
    lost: Mapping[str, datetime] | None = None,
    subjects: Mapping[str, str] | None = None,
    keep_for: timedelta | None = WEEK,
    protect: tuple[str, ...] = (),
) -> ContentDecision:
    """`signed` images have a digest tag that points to `NAME.sig`; `graphs` gives children by name."""
    referrers: dict[Digest, list[Digest]] = {}
    for referrer, subject in (subjects or {}).items():
        referrers.setdefault(named(subject), []).append(named(referrer))
    seen = ContentSeen(
        digests(staying),
        digests(going),
        {sig(name): named(name) for name in signed},
        {sig(name): named(f"{name}.sig") for name in signed},
        {named(name): since for name, since in (lost or {}).items()},
        {named(root): (named(root), *digests(children)) for root, children in (graphs or {}).items()},
        {named(referrer): named(subject) for referrer, subject in (subjects or {}).items()},
        referrers,
    )
    rules = RetentionPolicy("p", (), untagged_keep_for=keep_for, protect=protect)
    return decide_content(rules, seen, now=NOW)


def unreached(decision: ContentDecision) -> set[Digest]:
    return {*decision.unreached}


def test_a_signature_goes_with_the_last_tag_of_its_image_and_not_before() -> None:
    assert decide("", "a", signed=["a"]).digest_tags == (sig("a"),)
    assert decide("a", "a", signed=["a"]).digest_tags == ()
    assert decide("b", "a", signed=["a", "b"]).digest_tags == (sig("a"),)


def test_what_a_kept_index_leads_to_stays_with_its_signatures() -> None:
    nested = {"outer": "inner amd arm", "old": "amd s390"}
    decision = decide("outer", "old amd", graphs=nested, signed=["amd", "inner", "s390", "old"])
    assert set(decision.digest_tags) == {sig("s390"), sig("old")}
    assert unreached(decision) == {*digests("old s390 s390.sig old.sig")}


def test_signatures_of_signatures_follow() -> None:
    assert set(decide("", "a", signed=["a", "a.sig"]).digest_tags) == {sig("a"), sig("a.sig")}


def test_protect_holds_digest_tags_too() -> None:
    decision = decide("", "a", signed=["a"], protect=("sha256-*",))
    assert decision.digest_tags == ()
    assert unreached(decision) == {named("a")}


def test_without_untagged_manifests_are_remembered_and_stay() -> None:
    decision = decide("", "a", signed=["a"], lost={"b": LONG_AGO}, keep_for=None)
    assert decision.digest_tags == (sig("a"),)
    assert unreached(decision) == {*digests("a a.sig b")}
    assert not decision.due


def test_a_manifest_goes_when_nothing_has_led_to_it_for_long_enough() -> None:
    assert decide(lost={"a": NOW - WEEK}).due == (named("a"),)
    young = decide(lost={"a": NOW - WEEK + timedelta(seconds=1)})
    assert young.due == ()
    assert young.unreached == {named("a"): NOW - WEEK + timedelta(seconds=1)}


def test_what_just_lost_its_tag_waits_from_now_on() -> None:
    decision = decide("", "a", keep_for=timedelta(hours=1))
    assert decision.due == ()
    assert decision.unreached == {named("a"): NOW}
    assert decide("", "a", keep_for=timedelta()).due == (named("a"),)


def test_a_time_that_has_not_come_counts_from_now() -> None:
    assert decide(lost={"a": NOW + WEEK}).unreached == {named("a"): NOW}


def test_what_is_reached_again_is_forgotten() -> None:
    decision = decide("index", lost={"a": LONG_AGO, "index": LONG_AGO}, graphs={"index": "a"})
    assert not decision.unreached
    assert not decision.due


def test_an_index_goes_before_its_children_and_referrers_before_their_subjects() -> None:
    names = "index a b index-sig a-sbom sbom-sig"
    decision = decide(
        graphs={"index": "a b"},
        subjects={"index-sig": "index", "a-sbom": "a", "sbom-sig": "a-sbom"},
        lost=dict.fromkeys(names.split(), LONG_AGO),
    )
    order = list(decision.due)
    assert {*order} == {*digests(names)}
    for pair in ("index a", "index b", "index-sig index", "a-sbom a", "sbom-sig a"):
        first, then = digests(pair)
        assert order.index(first) < order.index(then), pair


def test_a_child_waits_for_its_index() -> None:
    decision = decide(graphs={"index": "a"}, lost={"a": LONG_AGO, "index": NOW})
    assert decision.due == ()


def test_referrers_go_with_their_subject_however_young() -> None:
    decision = decide(lost={"a": LONG_AGO}, subjects={"new-sbom": "a"})
    assert set(decision.due) == {*digests("a new-sbom")}


def test_a_tagged_referrer_keeps_its_subject_and_all_of_it() -> None:
    decision = decide(
        "sbom-sig", "index", graphs={"index": "a b"}, signed=["a"], subjects={"sbom": "a", "sbom-sig": "sbom"}
    )
    assert decision.digest_tags == ()
    assert unreached(decision) == {*digests("index b")}


def test_a_referrer_that_loses_its_tag_stays_with_its_subject() -> None:
    assert unreached(decide("a", "sbom", subjects={"sbom": "a"})) == set()
    assert unreached(decide("", "sbom a", subjects={"sbom": "a"})) == {*digests("sbom a")}
    # A subject that nothing is known of may be kept by what nobody looked at.
    assert unreached(decide("", "sbom", subjects={"sbom": "elsewhere"})) == set()


def test_evidence_under_a_digest_tag_that_stays_is_no_waste() -> None:
    decision = decide("a", signed=["a"], lost={"a.sig": LONG_AGO})
    assert decision.due == ()


def test_a_list_of_referrers_goes_before_what_it_lists() -> None:
    decision = decide(
        graphs={"list": "sbom"},
        subjects={"sbom": "a"},
        lost=dict.fromkeys(("a", "sbom", "list"), LONG_AGO),
    )
    assert decision.due == tuple(digests("list sbom a"))


def test_a_circle_of_referrers_is_a_lie_and_nothing_goes() -> None:
    lost = dict.fromkeys(("a", "b"), LONG_AGO)
    decision = decide(lost=lost, graphs={"a": "b"}, subjects={"a": "b", "b": "a"})
    assert decision.due == ()
    assert unreached(decision) == {*digests("a b")}


def test_a_long_chain_of_referrers_is_no_obstacle() -> None:
    names = [f"r{number}" for number in range(3_000)]
    chain = dict(zip(names[1:], names, strict=False))
    decision = decide(lost={"r0": LONG_AGO}, subjects=chain)
    assert decision.due == tuple(digests(" ".join(reversed(names))))


def test_only_what_nothing_else_leads_to_is_doubtful() -> None:
    graphs = {named("index"): tuple(digests("index a b")), named("old"): tuple(digests("old b c"))}
    assert doubtful(digests("index"), digests("old c"), graphs) == {*digests("old c")}
    assert needed_from_above(digests("index"), digests("a old"), graphs) == {named("a")}
    assert needed_from_above(digests("index a"), digests("a old"), graphs) == set()


manifest_names = st.sampled_from([f"m{number}" for number in range(8)])
manifest_sets = st.lists(manifest_names, max_size=4).map(" ".join)
# A manifest leads to later ones, as hashes make it: nothing can be in itself.
graph_maps = st.dictionaries(manifest_names, manifest_sets).map(
    lambda drawn: {
        root: " ".join(sorted({child for child in children.split() if child > root}))
        for root, children in drawn.items()
    }
)
subject_maps = st.dictionaries(manifest_names, manifest_names).map(
    lambda drawn: {referrer: subject for referrer, subject in drawn.items() if subject < referrer}
)


@given(
    manifest_sets,
    manifest_sets,
    graph_maps,
    subject_maps,
    st.lists(manifest_names, unique=True),
    st.dictionaries(manifest_names, st.sampled_from([NOW, LONG_AGO])),
)
def test_nothing_goes_that_something_kept_leads_to(
    staying: str,
    going: str,
    graphs: dict[str, str],
    subjects: dict[str, str],
    signed: list[str],
    lost: dict[str, datetime],
) -> None:
    decision = decide(staying, going, graphs=graphs, subjects=subjects, signed=signed, lost=lost)
    kept = {named(one) for root in staying.split() for one in (root, *graphs.get(root, "").split())}
    assert not kept & unreached(decision)
    assert {*decision.due} <= unreached(decision)
    assert not {sig(one) for one in signed if named(one) in kept} & {*decision.digest_tags}
    for referrer, subject in subjects.items():  # neither a referrer without its subject, nor the reverse
        if named(subject) in kept:
            assert named(referrer) not in decision.due
    for root, children in graphs.items():  # no index without its children
        if any(named(child) in decision.due for child in children.split()) and named(root) in unreached(
            decision
        ):
            assert named(root) in decision.due
