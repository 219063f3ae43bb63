"""Lock files read and written: what round trips, what is kept of hand edits, what is refused and where."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.lock import LockEntry, LockFile
from regsync.spec.lock_reading import read_lock_file
from regsync.spec.lock_writing import lock_text
from regsync.spec.problems import Problems

ONE, TWO = (Digest.of(text) for text in (b"one", b"two"))
HEADER = "apiVersion: regsync.dev/v1\nkind: Lock\nimages:\n"
ENTRY = f"{HEADER}- image: d.io/a:1@{ONE}\n"


def written(file: LockFile) -> str:
    return "".join(lock_text(file))


def read(path: Path, text: str | bytes) -> tuple[LockFile | None, list[str]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems = Problems()
    found = read_lock_file(path, problems)
    return found, [str(problem).removeprefix(str(path)) for problem in problems.found]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "regsync.lock"


def one_entry(path: Path, text: str) -> LockEntry:
    found, problems = read(path, HEADER + text)
    assert problems == []
    assert found is not None
    (entry,) = found.entries
    return entry


digests = st.sampled_from([ONE, TWO, Digest("sha512", "a" * 128)])
tags = st.none() | st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=20).filter(
    lambda text: text[0] not in ".-"
).map(Tag)
repositories = st.sampled_from(
    ["docker.io/library/nginx", "http://127.0.0.1:5000/a/b", "local/app", "[::1]:5000/x", "localhost/y"]
)
texts = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())
comments = st.tuples() | st.tuples(st.just("# kept back: broken on arm"), st.just("#"))


@st.composite
def entries(draw: st.DrawFn) -> LockEntry:
    tag = draw(tags)
    return LockEntry(
        draw(repositories),
        tag,
        draw(digests),
        draw(st.none() | texts),
        draw(st.none() | texts),
        draw(st.none() | st.integers(0, 1 << 60)),
        tuple(draw(st.lists(texts, max_size=3))),
        draw(st.none() | digests),
        draw(st.none() | digests),
        tag is not None and draw(st.booleans()),
        draw(comments),
        draw(st.none() | st.just("# by hand")),
    )


files = st.builds(
    LockFile,
    st.just(Path("regsync.lock")),
    st.lists(entries(), max_size=6, unique_by=lambda entry: entry.key).map(tuple),
    st.none() | st.just(("# ours",)),
    st.just(()) | st.just(("# the end",)),
)


@given(file=files)
def test_what_is_written_is_read_back_and_written_the_same(
    file: LockFile, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("locks") / "regsync.lock"
    found, problems = read(path, written(file))
    assert problems == []
    assert found is not None
    assert found.entries == tuple(sorted(file.entries, key=lambda entry: entry.key))
    assert written(found) == written(file)


@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEADER + text).encode()))
def test_no_bytes_end_in_anything_but_entries_or_problems_with_their_place(
    raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found, problems = read(tmp_path_factory.mktemp("locks") / "regsync.lock", raw)
    assert (found is None) == bool(problems)


@given(data=st.data())
def test_a_file_with_any_part_cut_out_is_read_or_refused_in_order(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = written(data.draw(files))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found, problems = read(tmp_path_factory.mktemp("locks") / "regsync.lock", text[:start] + text[end:])
    assert (found is None) == bool(problems)


def test_an_entry_begins_with_its_full_reference_and_has_a_key_a_line() -> None:
    entry = LockEntry(
        "docker.io/library/nginx",
        Tag("1.27.1"),
        ONE,
        mirror="nginx",
        rule="semver '>=1.25 <2'",
        size=70123456,
        signers=("ci@example.com (https://issuer.example)",),
        index=ONE,
        target=TWO,
        hold=True,
    )
    assert written(LockFile(Path("regsync.lock"), (entry,), head=())) == (
        f"{HEADER}"
        f'- image: "docker.io/library/nginx:1.27.1@{ONE}"\n'
        "  mirror: nginx\n"
        "  rule: semver '>=1.25 <2'\n"
        "  size: 70123456\n"
        '  signer: "ci@example.com (https://issuer.example)"\n'
        f"  index: {ONE}\n"
        f"  target: {TWO}\n"
        "  hold: true\n"
    )


def test_one_moved_tag_among_many_is_a_diff_of_one_line() -> None:
    def file(moved: Digest) -> list[str]:
        listed = [LockEntry("docker.io/library/nginx", Tag(f"1.{n}"), ONE, mirror="nginx") for n in range(50)]
        listed[7] = LockEntry("docker.io/library/nginx", Tag("1.7"), moved, mirror="nginx")
        return written(LockFile(Path("x"), tuple(listed))).splitlines()

    assert sum(one != other for one, other in zip(file(ONE), file(TWO), strict=True)) == 1


def test_comments_of_people_stay_with_their_entry_when_it_moves_within_the_file(path: Path) -> None:
    found, problems = read(
        path,
        "# our images\n\n"
        f"{HEADER}"
        "# not newer: breaks the proxy\n"
        f"- image: docker.io/b:1@{ONE}  # see INC-7\n"
        "  mirror: b\n"
        "  # asked for by the web team\n"
        "  size: 3\n"
        "\n"
        "# first\n"
        f"- image: docker.io/a:1@{ONE}\n"
        "# that is all\n",
    )
    assert problems == []
    assert found is not None
    assert written(found) == (
        "# our images\n"
        f"{HEADER}"
        "# first\n"
        f"- image: docker.io/a:1@{ONE}\n"
        "# not newer: breaks the proxy\n"
        "# asked for by the web team\n"
        f"- image: docker.io/b:1@{ONE} # see INC-7\n"
        "  mirror: b\n"
        "  size: 3\n"
        "# that is all\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"  - {{image: 'docker.io/a:1@{ONE}', hold: true}}\n", id="flow style"),
        pytest.param(f'-\n  "hold": true\n  image: >-\n    docker.io/a:1@{ONE}\n', id="another order"),
    ],
)
def test_any_yaml_that_says_the_same_is_taken(path: Path, text: str) -> None:
    entry = one_entry(path, text)
    assert (entry.image, entry.hold) == (f"docker.io/a:1@{ONE}", True)


WRONG = {
    "nothing": ("", ":1:1: expected one document"),
    "no digest": (HEADER + "- image: docker.io/a:1\n", ":4:10: images.image: expected a full"),
    "a short digest": (HEADER + "- image: docker.io/a:1@sha256:12\n", ":4:10: images.image: "),
    "upper case": (HEADER + f"- image: docker.io/A:1@{ONE}\n", ":4:10: images.image: "),
    "dots": (HEADER + f"- image: docker.io/../a:1@{ONE}\n", ":4:10: images.image: "),
    "a password": (HEADER + f"- image: me:pw@h.test/a:1@{ONE}\n", ":4:10: images.image: "),
    "no host": (HEADER + f"- image: a:1@{ONE}\n", ":4:10: images.image: "),
    "an unknown key": (ENTRY + "  hodl: true\n", ":5:3: images.hodl: unknown key"),
    "a number for a word": (ENTRY + "  hold: 1\n", ":5:9: images.hold: expected true"),
    "nothing to hold": (HEADER + f"- image: d.io/a@{ONE}\n  hold: true\n", ":5:9: images.hold: "),
    "a negative size": (ENTRY + "  size: -4\n", ":5:9: images.size: "),
    "an endless size": (ENTRY + f"  size: {'9' * 5000}\n", ":5:9: images.size: "),
    "a list for a text": (ENTRY + "  rule: [x]\n", ":5:9: images.rule: "),
    "a text for a digest": (ENTRY + "  target: x\n", ":5:11: images.target: "),
    "an image twice": (ENTRY + f"- image: d.io/a:1@{TWO}\n", ":5:3: images.image: d.io/a:1 stands twice"),
    "a text for an entry": (HEADER + "- just text\n", ":4:3: images: expected an entry"),
    "another version": ("apiVersion: v2\nkind: Lock\nimages: []\n", ":1:13: apiVersion: expected"),
    "no version": ("kind: Lock\nimages: []\n", ":1:1: apiVersion: expected"),
    "a conflict": (HEADER + f"<<<<<<< HEAD\n- image: d.io/a:1@{ONE}\n", ":4:1: a conflict of a merge"),
    "no YAML": (HEADER + "- image: [\n", ":5:1: not YAML"),
    "an alias of itself": (HEADER + "- &a [*a]\n", ":4:"),
}


@pytest.mark.parametrize(("text", "problem"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_at_its_place(path: Path, text: str, problem: str) -> None:
    found, problems = read(path, text)
    assert found is None
    assert problems[0].startswith(problem), problems


def test_a_digest_behind_a_trimmed_one_that_a_bot_moved_is_known_to_be_stale(path: Path) -> None:
    entry = one_entry(path, f"- image: d.io/a:1@{ONE}\n  index: {ONE}\n  target: {TWO}\n")
    assert (entry.trimmed, entry.digests) == (TWO, (ONE, TWO))
    moved = one_entry(path, f"- image: d.io/a:1@{TWO}\n  index: {ONE}\n  target: {TWO}\n")
    assert (moved.trimmed, moved.digests) == (None, (TWO,))
