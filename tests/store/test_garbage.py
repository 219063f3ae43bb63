"""Which manifests nothing leads to, decided from what is there alone."""

import pytest

from regsync.store.garbage import Held, Limits, Manifests, Verdict, judge

NOW = 1000
AT_ONCE = Limits(now=NOW, unused_before=NOW, pulled_before=NOW)
LATER = Limits(now=NOW, unused_before=NOW - 100, pulled_before=NOW - 100)
FALLBACK = "sha256-" + "a" * 64


def judged(
    *held: Held,
    tags: dict[str, str] | None = None,
    children: dict[str, list[str]] | None = None,
    limits: Limits = AT_ONCE,
) -> Verdict:
    return judge(Manifests({one.digest: one for one in held}, tags or {}, children or {}), limits)


def manifest(digest: str, **more: object) -> Held:
    return Held(digest, 10, **more)  # type: ignore[arg-type]


def gone(verdict: Verdict) -> list[set[str]]:
    return sorted(({*one.members} for one in verdict.components), key=sorted)


def test_what_a_tag_an_index_or_a_subject_leads_to_is_kept_with_the_reason() -> None:
    verdict = judged(
        manifest("index"),
        manifest("arm"),
        manifest("signature", subject="arm"),
        manifest("loose"),
        tags={"index": "v1"},
        children={"index": ["arm", "not here"]},
    )
    assert verdict.kept == {
        "index": "tag v1",
        "arm": "part of index index",
        "signature": "refers to arm",
    }
    assert gone(verdict) == [{"loose"}]


def test_a_signature_of_nothing_or_of_what_goes_goes() -> None:
    verdict = judged(
        manifest("image"),
        manifest("signature", subject="image"),
        manifest("of nothing", subject="not here"),
    )
    assert gone(verdict) == [{"image", "signature"}, {"of nothing"}]


def test_a_tagged_referrer_keeps_its_subject_and_what_that_leads_to() -> None:
    held = [
        manifest("image"),
        manifest("sbom", subject="image"),
        manifest("signature", subject="sbom"),
        manifest("other signature", subject="image"),
    ]
    verdict = judged(*held, tags={"signature": "signed"})
    assert verdict.kept["sbom"] == "subject of signature"
    assert verdict.kept["image"] == "subject of sbom"
    assert verdict.kept["other signature"] == "refers to image"


@pytest.mark.parametrize("tag", [FALLBACK, f"{FALLBACK}.sig"])
def test_a_tag_made_from_a_digest_keeps_what_it_names_but_not_what_that_refers_to(tag: str) -> None:
    held = [manifest("image"), manifest("list", subject="image")]
    verdict = judged(*held, tags={"list": tag})
    assert gone(verdict) == [{"image"}]
    assert verdict.components[0].beside == {"list"}


def test_an_index_goes_before_its_manifests_and_with_all_that_share_them() -> None:
    verdict = judged(
        manifest("a"),
        manifest("b"),
        manifest("outer"),
        manifest("inner"),
        children={"outer": ["inner", "a"], "inner": ["a", "b"]},
    )
    (component,) = verdict.components
    assert component.members[:2] == ("outer", "inner")
    assert set(component.members) == {"outer", "inner", "a", "b"}


def test_what_is_young_waits_and_keeps_what_it_leads_to_but_not_its_older_neighbours() -> None:
    """A chain of nightly indexes, each sharing a manifest with the next, must not wait for ever."""
    verdict = judged(
        manifest("monday", unused_since=100),
        manifest("tuesday", unused_since=100),
        manifest("today"),
        manifest("x", unused_since=100),
        manifest("y", unused_since=100),
        children={"monday": ["x"], "tuesday": ["x", "y"], "today": ["y"]},
        limits=LATER,
    )
    assert dict(verdict.waiting) == {"today": None, "y": "part of index today"}
    assert gone(verdict) == [{"monday", "tuesday", "x"}]


def test_what_was_pulled_lately_waits() -> None:
    verdict = judged(manifest("one", unused_since=1, pulled_at=NOW - 50), limits=LATER)
    assert list(verdict.waiting) == ["one"]
    assert gone(judged(manifest("one", unused_since=1, pulled_at=NOW - 500), limits=LATER)) == [{"one"}]


def test_a_large_component_goes_in_parts_and_what_leads_to_another_goes_first() -> None:
    signatures = [f"a signature {number}" for number in range(5)]
    [component] = judged(
        manifest("z index"),
        manifest("arm"),
        *(manifest(one, subject="arm") for one in signatures),
        children={"z index": ["arm"]},
    ).components
    first, *others = component.in_parts(3)
    assert first.members == ("z index", "arm", signatures[0])
    assert first.later == tuple(signatures[1:])
    assert [(one.members, one.later) for one in others] == [
        (tuple(signatures[1:4]), ()),
        ((signatures[4],), ()),
    ]
    assert [sorted(one.beside) for one in (first, *others)] == [signatures[1:], signatures[4:], []]


def test_manifests_that_lead_to_each_other_in_a_circle_are_in_one_component() -> None:
    [component] = judged(
        manifest("subject"), manifest("index", subject="subject"), children={"index": ["subject"]}
    ).components
    assert sorted(component.members) == ["index", "subject"]
