from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.expand import units
from regsync.spec.history import History, HistoryTagError
from regsync.spec.pruning import DeletionLimits, Owns, PrunePolicy
from tests.spec.spec_files import HUB, STORE, Specs, document, mirror

BASE = "source: hub/library/nginx\ntargets: [local/nginx]\ntags: [latest]\n"
DIGEST = Digest.of(b"a")
MOVED = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


def test_without_prune_nothing_is_deleted(specs: Specs) -> None:
    assert specs.mirror(BASE).prune is None


def test_an_empty_prune_has_careful_defaults(specs: Specs) -> None:
    found = specs.mirror(BASE + "prune: {}").prune
    assert found == PrunePolicy(DeletionLimits(10, 10), timedelta(days=7), (), Owns.LEDGER)


def test_prune_is_read_with_all_it_can_say(specs: Specs) -> None:
    keys = "{maxDeletes: 0, maxDeletePercent: 100, grace: 0s, protect: [a, 'b-*', a], owns: repository}"
    found = specs.mirror(f"{BASE}prune: {keys}")
    expected = PrunePolicy(DeletionLimits(0, 100), timedelta(), ("a", "b-*"), Owns.REPOSITORY)
    assert found.prune == expected
    assert [unit.prune for unit in units(found)] == [expected]


def test_defaults_are_replaced_as_a_whole(specs: Specs) -> None:
    defaults = document("MirrorDefaults", None, "prune: {maxDeletes: 99, owns: repository}")
    found = specs.load(HUB, STORE, defaults, mirror(BASE + "prune: {grace: 1d}")).mirrors[0].prune
    assert found == PrunePolicy(grace=timedelta(days=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prune: {maxDeletes: -1}", "spec.prune.maxDeletes: expected a value greater than or equal to 0"),
        ("prune: {maxDeletePercent: 0}", "spec.prune.maxDeletePercent: expected a value greater"),
        ("prune: {maxDeletePercent: 101}", "spec.prune.maxDeletePercent: expected a value less"),
        ("prune: {grace: 7}", "spec.prune.grace: expected a duration"),
        ("prune: {owns: all}", "spec.prune.owns: expected one of ledger, repository"),
        ("prune: {protect: ['[a']}", "spec.prune.protect[0]: invalid glob"),
        ("prune: true", "spec.prune: expected a mapping"),
        ("prune: {maxDelete: 3}", "did you mean 'maxDeletes'?"),
        ("history: {tag: '{tag}-{date}'}", "{digest} has to be in it"),
        ("history: {tag: 'old-{digest:12}'}", "{tag} has to be in it"),
        ("history: {tag: '{tag}-{digest:2}'}", "from 4 to 64 characters"),
        ("history: {tag: '{tag}-{digest}-{major}'}", "{major} is not one of {tag} {date} {digest}"),
        ("history: {tag: '{tag}/{digest}'}", "tags are made of letters"),
        ("history: {tag: '{tag}-{digest'}", "a brace stands alone"),
        ("history: {keep: 0}", "spec.history.keep: expected a value greater"),
    ],
)
def test_mistakes_say_what_was_expected(specs: Specs, text: str, expected: str) -> None:
    assert expected in "\n".join(specs.mirror_problems(BASE + text))


@pytest.mark.parametrize(
    ("limits", "total", "allowed"),
    [
        ((10, 10), 0, 1),
        ((10, 10), 5, 1),
        ((10, 10), 11, 2),
        ((10, 10), 100, 10),
        ((10, 10), 1000, 10),
        ((0, 10), 1000, 0),
        ((1000, 100), 7, 7),
    ],
)
def test_limits_are_a_number_and_a_part_rounded_up(limits: tuple[int, int], total: int, allowed: int) -> None:
    assert DeletionLimits(*limits).allowed(total) == allowed


@given(st.integers(0, 1000), st.integers(1, 100), st.integers(1, 10_000))
def test_no_limit_allows_more_than_it_says(most: int, percent: int, total: int) -> None:
    allowed = DeletionLimits(most, percent).allowed(total)
    assert allowed <= most
    assert allowed <= total
    assert (allowed - 1) * 100 < total * percent


def test_a_former_image_is_named_by_tag_day_and_digest() -> None:
    assert History().name(Tag("1.27"), DIGEST, MOVED) == f"1.27-20260301-{DIGEST.short()}"


def test_the_day_of_a_move_is_that_of_utc() -> None:
    from zoneinfo import ZoneInfo

    west = MOVED.astimezone(ZoneInfo("America/New_York"))
    assert History("{date}.{tag}.{digest:4}").name(Tag("a"), DIGEST, west) == f"20260301.a.{DIGEST.short(4)}"


def test_a_name_that_is_no_tag_is_an_error() -> None:
    with pytest.raises(HistoryTagError, match="history of tag aaaa") as caught:
        History().name(Tag("a" * 120), DIGEST, MOVED)
    assert caught.value.hint is not None
