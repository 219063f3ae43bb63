"""The journal: what it says, and that it is exactly the history of what was committed."""

import json
from pathlib import Path

import pytest

from regsync.content.errors import ContentNotFoundError
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import BuiltinStore
from regsync.store.journal import GAP, START, FileJournal, Position
from tests.contract.places import described, put
from tests.support.images import image

APP = RepositoryName("team/app")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_records_are_lines_in_their_order(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    end = journal.append(START, [{"a": 1}, {"b": "é"}])
    end = journal.append(end, [{"c": 3}])
    assert lines(journal.path(1)) == [{"a": 1}, {"b": "é"}, {"c": 3}]
    assert end == Position(1, journal.path(1).stat().st_size)


def test_what_was_written_and_never_committed_is_cut_off(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    end = journal.append(START, [{"committed": 1}])
    journal.append(end, [{"rolled back": "a long record that the next one does not cover"}])
    journal.append(end, [{"committed": 2}])
    assert lines(journal.path(1)) == [{"committed": 1}, {"committed": 2}]


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, segment_size=20)
    end = journal.append(START, [{"number": 1, "long": "enough"}])
    end = journal.append(end, [{"number": 2}])
    assert end.segment == 2
    assert lines(journal.path(2)) == [{"number": 2}]


def test_a_journal_that_was_cut_goes_on_in_a_new_segment_and_says_that_history_is_missing(
    tmp_path: Path,
) -> None:
    journal = FileJournal(tmp_path)
    end = journal.append(START, [{"number": 1}])
    journal.path(1).unlink()
    end = journal.append(end, [{"number": 2}])
    assert lines(journal.path(2)) == [GAP, {"number": 2}]
    journal.append(end, [{"number": 3}])
    assert lines(journal.path(2)) == [GAP, {"number": 2}, {"number": 3}]


def test_what_was_refused_is_taken_back_from_both_segments(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, segment_size=20)
    end = journal.append(START, [{"committed": "as long as a segment"}])
    journal.append(end, [{"refused": 1}])
    journal.cut(end)
    assert (lines(journal.path(2)), journal.path(1).stat().st_size) == ([], end.length)
    journal.append(Position(1, 0), [{"refused": 2}])
    journal.cut(START)
    assert lines(journal.path(1)) == []
    FileJournal(tmp_path / "none").cut(START)


@pytest.mark.anyio
async def test_the_history_of_a_store_has_all_that_a_rebuild_needs(tmp_path: Path) -> None:
    content = image("one", layers=1, annotations={"note": "ünïcode \\ud83d"})
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        desc = await put(repository, content, "v1")
        await repository.tag(desc, Tag("v2"))
        with pytest.raises(ContentNotFoundError):
            await repository.untag(Tag("missing"))
        await repository.untag(Tag("v1"))
        await repository.delete(desc)
    found = lines(tmp_path / "journal" / "000001.jsonl")
    assert [one["op"] for one in found] == ["blob", "blob", "manifest", "tag", "tag", "untag", "delete"]
    assert {str(one["repository"]) for one in found} == {"team/app"}
    manifest = found[2]
    assert str(manifest["raw"]).encode() == content.data
    assert manifest["digest"] == str(described(content).digest)
    assert manifest["mediaType"] == content.media_type
    assert all(isinstance(one["at"], int) for one in found)
