import re
import time
import tracemalloc

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from regsync.spec import yaml_source
from regsync.spec.nodes import Entries, Items, Plain, Scalar, locate
from regsync.spec.problems import Problems
from regsync.spec.yaml_source import MAX_DEPTH, MAX_FILE_SIZE, Dialect, read_documents


def read(text: str | bytes, dialect: Dialect = Dialect.STRICT) -> tuple[list[object], list[str]]:
    problems = Problems()
    raw = text if isinstance(text, bytes) else text.encode()
    found = read_documents(raw, "f", problems, dialect=dialect)
    return [node.value() for node in found], [str(problem) for problem in problems.found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1.10", {"a": "1.10"}),
        ("a: 012", {"a": "012"}),
        ("on: off", {"on": "off"}),
        ("a: 2026-01-05", {"a": "2026-01-05"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: !!str 5", {"a": "5"}),
        ("a: [x, 'y', \"z\"]", {"a": ["x", "y", "z"]}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: &x [1]\nb: *x", {"a": ["1"], "b": ["1"]}),
        ("? a\n: b", {"a": "b"}),
        ("a:", {"a": None}),
        ('a: ""', {"a": ""}),
        ("\ufeffa: b", {"a": "b"}),
        ("1: b", {"1": "b"}),
    ],
)
def test_scalars_stay_as_they_were_written(text: str, expected: object) -> None:
    assert read(text) == ([expected], [])


def test_only_scalars_without_quotes_can_be_numbers() -> None:
    problems = Problems()
    (node,) = read_documents(b"[3, '3', \"3\", !!str 3]", "f", problems)
    assert isinstance(node, Items)
    assert [isinstance(one, Plain) for one in node.value()] == [True, False, False, False]


def test_empty_documents_do_not_count() -> None:
    assert read("---\n---\na: b\n---\n# nothing\n...\n") == ([{"a": "b"}], [])


def test_every_node_knows_where_it_stands() -> None:
    (node,) = read_documents(b"a:\n  - b: {c: d}\n", "f", Problems())
    found = locate(node, ["a", 0, "union", "b", "c"])
    assert (str(found.position), found.path) == ("f:2:12", "a[0].b.c")
    assert str(locate(node, ["a", 0, "b"], at_key=True).position) == "f:2:5"
    assert locate(node, ["a", 7, "x"]).path == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "a: 1\nb: 2\na: 3", "f:3:1: a: the key stands twice; the first is in line 1", id="a key twice"
        ),
        pytest.param("a: {b: 1, b: 2}", "f:1:11: b: the key stands twice", id="a key twice below"),
        pytest.param("<<: {a: 1}", "f:1:1: merge keys (<<) are not taken", id="a merge key"),
        pytest.param(
            "a: !!python/name:os.system x",
            "a tag (!) is not taken",
            id="a tag of Python",
        ),
        pytest.param("a: !Ref x", "a tag (!) is not taken", id="a tag of somebody"),
        pytest.param("a: !!set {b}", "a tag (!) is not taken", id="a tag on a mapping"),
        pytest.param("[a]: b", "f:1:1: a key is expected here", id="a key that is a list"),
        pytest.param("a: *b", "f:1:4: this alias (*) stands for nothing before it", id="an alias to nothing"),
        pytest.param("a: &a [*a]", "this alias (*) stands for nothing before it", id="an alias to itself"),
        pytest.param("a: [b", "f:2:1: not YAML", id="a list that does not end"),
        pytest.param("a: [hub/{repository}]", "a text with braces stands in quotes", id="braces in a list"),
        pytest.param("a: b: c", "f:1:5: not YAML", id="two colons"),
        pytest.param("\ta: b", "not YAML", id="a tab"),
        pytest.param("a: \x07", "not YAML", id="a control character"),
        pytest.param(b"a: \xff\n", "f:1:1: not UTF-8 at byte 3", id="not UTF-8"),
        pytest.param("{{ .Values.a }}: b", "f:1:2: a key is expected here", id="a template of Helm"),
        pytest.param("%YAML 9.9\n---\na", "", id="a version to come"),
    ],
)
def test_what_is_refused_says_where_and_why(text: str | bytes, expected: str) -> None:
    _, problems = read(text)
    if expected:
        assert expected in "\n".join(problems)


def test_documents_before_a_mistake_are_kept() -> None:
    found, problems = read("a: b\n---\n[")
    assert found == [{"a": "b"}]
    assert len(problems) == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 200_000, id="brackets"),
        pytest.param("{a: " * 200_000, id="braces"),
        pytest.param("- " * 200_000, id="dashes"),
        pytest.param(
            "a: &a0 [x]\n" + "".join(f"b{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
            id="aliases in aliases",
        ),
    ],
)
def test_depth_is_bounded(text: str) -> None:
    started = time.process_time()
    _, problems = read(text)
    assert time.process_time() - started < 2
    assert re.search(rf"nested deeper than {MAX_DEPTH} levels|maximum nesting depth", problems[0])


def test_an_alias_bomb_is_seen_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    tracemalloc.start()
    _, problems = read("\n".join(lines))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "when aliases are followed" in problems[0]
    assert peak < 5_000_000


def test_a_file_that_is_too_large_is_not_read() -> None:
    _, problems = read(b"#" * (MAX_FILE_SIZE + 1))
    assert problems == ["f:1:1: the file is larger than 4 MiB"]


def test_many_documents_are_too_many() -> None:
    found, problems = read("--- a\n" * 10_001)
    assert len(found) == 10_000
    assert "more than 10000 documents" in problems[0]


def test_other_tools_files_may_merge_repeat_and_tag() -> None:
    text = "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz:\n  b: 4\n  <<: [*x]\nw: !Ref {a: 1, a: 2}"
    found, problems = read(text, Dialect.LENIENT)
    assert problems == []
    assert found == [
        {"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "3"}, "z": {"a": "1", "b": "4"}, "w": {"a": "2"}}
    ]


def test_without_the_c_library_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: [1.10, 'x', &n {b: on}]\nc: *n\n---\n- |\n  t\n"
    fast = read(text)
    monkeypatch.setattr(yaml_source, "_LOADER", yaml.SafeLoader)
    assert read(text) == fast
    assert "not YAML" in read("a: [b")[1][0]


_PLAIN = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9./_-]{0,10}", fullmatch=True)
_TREES = st.recursive(
    _PLAIN,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(_PLAIN, below, max_size=4),
    max_leaves=15,
)


def written(tree: object) -> str:
    match tree:
        case list():
            return f"[{', '.join(map(written, tree))}]"
        case dict():
            return "{" + ", ".join(f"{key}: {written(one)}" for key, one in tree.items()) + "}"
        case _:
            return str(tree)


@given(_TREES)
def test_what_is_written_is_read(tree: object) -> None:
    assert read(written(tree)) == ([tree], [])


@given(st.text(max_size=60) | st.text("a: -[]{}&*!|>'\"\n#?", max_size=40), st.sampled_from(Dialect))
def test_any_text_is_yaml_or_a_problem(text: str, dialect: Dialect) -> None:
    problems = Problems()
    for node in read_documents(text.encode("utf-8", "surrogatepass"), "f", problems, dialect=dialect):
        assert isinstance(node, Scalar | Items | Entries)
        node.value()
