"""A lock file beside what sources hold: which entries come, go and move, and what stays in doubt."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.lock import LockEntry, LockFile
from regsync.spec.lock_merge import Current, Kind, Merged, Moves, Rules, UnitNow, merge, pending

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OLD, NEW = (Digest.of(text) for text in (b"old", b"new"))
NGINX = "docker.io/library/nginx"


def entry(tag: str, digest: Digest = OLD, **more: object) -> LockEntry:
    return replace(LockEntry(NGINX, Tag(tag), digest, mirror="nginx"), **more)  # type: ignore[arg-type]


def now(tag: str, digest: Digest = OLD, *, days: int = 30, **more: object) -> Current:
    current = Current(entry(tag, digest, size=7), NOW - timedelta(days=days))
    return replace(current, **more)  # type: ignore[arg-type]


def merged(
    entries: list[LockEntry],
    current: list[Current],
    moves: Moves = Moves.NONE,
    *,
    min_age: int = 0,
    whole: bool = True,
    unread: frozenset[Tag] = frozenset(),
    alone: bool = True,
    mirror: str = "nginx",
) -> Merged:
    unit = UnitNow(mirror, (NGINX,), tuple(current), whole, unread)
    rules = Rules(NOW, moves, timedelta(days=min_age), alone)
    return merge(LockFile(Path("regsync.lock"), tuple(entries)), [unit], rules, mirrors=["nginx", "other"])


def shown(result: Merged) -> tuple[dict[str, str], list[tuple[Kind, str]]]:
    digests = {str(one.tag): "old" if one.digest == OLD else "new" for one in result.file.entries}
    return digests, [(one.kind, one.name.rpartition(":")[2]) for one in result.changes]


def test_a_plain_lock_adds_and_removes_and_moves_none() -> None:
    result = merged([entry("1"), entry("2")], [now("1", NEW), now("3", NEW)])
    assert shown(result) == (
        {"1": "old", "3": "new"},
        [(Kind.BEHIND, "1"), (Kind.REMOVED, "2"), (Kind.ADDED, "3")],
    )


def test_an_update_moves_and_says_from_what_to_what() -> None:
    result = merged([entry("1", remark="# why")], [now("1", NEW)], Moves.UPDATE)
    assert shown(result) == ({"1": "new"}, [(Kind.MOVED, "1")])
    assert (result.changes[0].old, result.changes[0].new) == (OLD, NEW)
    assert (result.file.entries[0].size, result.file.entries[0].remark) == (7, "# why")


def test_facts_about_an_unmoved_digest_are_made_afresh() -> None:
    result = merged([entry("1", size=1, rule="stale")], [now("1")])
    assert (result.file.entries[0].size, result.file.entries[0].rule) == (7, None)
    assert result.changes == ()


def test_what_is_too_young_waits_whether_it_would_move_or_come() -> None:
    young, old = now("1", NEW, days=1), now("2", NEW, days=4)
    result = merged([entry("1"), entry("2")], [young, old, now("3", days=1)], Moves.UPDATE, min_age=3)
    assert shown(result) == (
        {"1": "old", "2": "new"},
        [(Kind.WAITING, "1"), (Kind.MOVED, "2"), (Kind.WAITING, "3")],
    )


def test_a_digest_seen_exactly_as_long_ago_as_asked_is_old_enough() -> None:
    assert shown(merged([entry("1")], [now("1", NEW, days=3)], Moves.UPDATE, min_age=3))[0] == {"1": "new"}


def test_an_immutable_tag_that_moved_at_the_source_is_told_and_never_followed() -> None:
    result = merged([entry("1")], [now("1", NEW, immutable=True)], Moves.UPDATE)
    assert shown(result) == ({"1": "old"}, [(Kind.IMMUTABLE, "1")])


def test_what_is_held_stays_until_an_update_releases_it() -> None:
    held = entry("1", hold=True)
    result = merged([held], [now("1", NEW)])
    assert (result.file.entries[0].hold, shown(result)) == (True, ({"1": "old"}, [(Kind.HELD, "1")]))
    assert merged([held], []).file.entries == (held,)
    released = merged([held], [now("1", NEW)], Moves.UPDATE)
    assert (released.file.entries[0].hold, released.file.entries[0].digest) == (False, NEW)
    same = merged([held], [now("1")], Moves.UPDATE)
    assert (same.file.entries[0].hold, shown(same)[1]) == (False, [(Kind.RELEASED, "1")])


def test_what_a_policy_refuses_is_neither_added_nor_moved_to() -> None:
    refused = [now("1", NEW, refused="not signed"), now("2", NEW, refused="not signed")]
    result = merged([entry("1")], refused, Moves.UPDATE)
    assert shown(result) == ({"1": "old"}, [(Kind.REFUSED, "1"), (Kind.REFUSED, "2")])
    assert merged([entry("1")], [now("1", refused="not signed")]).changes[0].kind is Kind.REFUSED


def test_a_source_that_was_not_read_keeps_every_entry() -> None:
    entries = [entry("1"), entry("2")]
    assert merged(entries, [], whole=False).file.entries == tuple(entries)
    assert shown(merged(entries, [now("1")], unread=frozenset({Tag("2")}))) == ({"1": "old", "2": "old"}, [])


def test_entries_of_mirrors_that_are_not_looked_at_stay() -> None:
    other = entry("9", mirror="other")
    assert other in merged([other], []).file.entries


def test_an_entry_of_no_mirror_goes_unless_a_part_of_the_directory_was_read() -> None:
    stranger = replace(entry("9", mirror="gone"), repository="docker.io/library/redis")
    assert shown(merged([stranger], []))[1] == [(Kind.REMOVED, "9")]
    assert merged([stranger], [], alone=False).file.entries == (stranger,)


def test_entries_of_a_mirror_that_was_renamed_are_taken_over() -> None:
    result = merged([entry("1", mirror="former"), entry("2", mirror=None)], [now("1", NEW), now("2", NEW)])
    assert shown(result) == ({"1": "old", "2": "old"}, [(Kind.BEHIND, "1"), (Kind.BEHIND, "2")])
    assert {one.mirror for one in result.file.entries} == {"nginx"}


tags = st.sampled_from([Tag(text) for text in "abcdef"])
digests = st.sampled_from([OLD, NEW])
locked = st.dictionaries(tags, st.tuples(digests, st.booleans()), max_size=6).map(
    lambda found: [entry(tag, digest, hold=hold) for tag, (digest, hold) in found.items()]
)
current = st.dictionaries(tags, st.tuples(digests, st.integers(0, 9)), max_size=6).map(
    lambda found: [now(tag, digest, days=days) for tag, (digest, days) in found.items()]
)
moves = st.sampled_from(Moves)


@given(entries=locked, found=current, moving=moves)
def test_merging_twice_changes_nothing_the_second_time(
    entries: list[LockEntry], found: list[Current], moving: Moves
) -> None:
    once = merged(entries, found, moving, min_age=3 if moving is Moves.UPDATE else 0)
    again = merged(list(once.file.entries), found, moving, min_age=3 if moving is Moves.UPDATE else 0)
    assert again.file == once.file
    quiet = (Kind.BEHIND, Kind.HELD, Kind.WAITING)
    assert [one for one in again.changes if one.kind not in quiet] == []


@given(entries=locked, found=current)
def test_a_plain_merge_moves_no_digest_and_releases_no_hold(
    entries: list[LockEntry], found: list[Current]
) -> None:
    before = {one.tag: one for one in entries}
    for one in merged(entries, found).file.entries:
        if one.tag in before:
            assert (one.digest, one.hold) == (before[one.tag].digest, before[one.tag].hold)


@given(entries=locked, found=current)
def test_after_an_update_the_file_is_what_the_source_has(
    entries: list[LockEntry], found: list[Current]
) -> None:
    result = merged(entries, found, Moves.UPDATE)
    assert {one.tag: one.digest for one in result.file.entries} == {
        one.entry.tag: one.entry.digest for one in found
    }
    assert list(pending(merged(list(result.file.entries), found, Moves.UPDATE).changes)) == []
