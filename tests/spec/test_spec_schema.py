import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from regsync.spec.documents import KINDS
from regsync.spec.reference import render
from regsync.spec.schema import schema_text, spec_schema

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((PROJECT / "examples").rglob("*.yaml"))


@cache
def validator() -> Any:
    schema = spec_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def mirror(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "regsync.dev/v1", "kind": "Mirror", "metadata": {"name": "a"}, "spec": spec}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_examples_are_valid(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        assert [error.message for error in validator().iter_errors(document)] == []


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param({**mirror(), "kind": "Mirro"}, id="no kind"),
        pytest.param({**mirror(), "apiVersion": "v1"}, id="another version"),
        pytest.param(mirror(tag=["a"]), id="an unknown key"),
        pytest.param(mirror(tags="a"), id="text for a list"),
        pytest.param(mirror(tags=[{"newst": 1}]), id="an unknown key below"),
        pytest.param(mirror(atLeast="x"), id="text for a number"),
        pytest.param(mirror(atLeast=-1), id="a number out of bounds"),
        pytest.param(mirror(platforms=["amd64"]), id="no platform"),
        pytest.param(mirror(digests=["sha256:1"]), id="no digest"),
        pytest.param(mirror(tags=[{"glob": "a", "maxAge": "1 month"}]), id="no duration"),
        pytest.param({**mirror(), "metadata": {"name": "Web Team"}}, id="no name"),
        pytest.param(
            {"apiVersion": "regsync.dev/v1", "kind": "Registry", "metadata": {"name": "a"},
             "spec": {"url": "a.b", "auth": {"username": "me", "password": "secret"}}}, id="a secret",
        ),
    ],
)  # fmt: skip
def test_what_is_invalid_is_invalid_in_editors_too(document: dict[str, Any]) -> None:
    assert list(validator().iter_errors(document))


def test_tags_may_be_numbers_to_an_editor() -> None:
    assert not list(validator().iter_errors(mirror(tags=[1.10, 15, {"semver": 1.25}])))


def test_every_key_says_what_it_means() -> None:
    schema = spec_schema()
    for name, definition in schema["$defs"].items():
        assert definition["description"], name
        for key, value in definition["properties"].items():
            if key != "kind":
                assert value.get("description"), f"{name}.{key}"


def test_the_schema_is_one_json_document() -> None:
    assert json.loads(schema_text()) == spec_schema()
    assert "pydantic" not in schema_text()
    assert '"null"' not in schema_text()


def test_the_published_schema_is_what_the_models_render() -> None:
    published = (PROJECT / "docs/schemas/spec.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run: regsync schema > docs/schemas/spec.schema.json"


def test_the_page_is_what_the_models_render() -> None:
    page = (PROJECT / "docs/spec.md").read_text(encoding="utf-8")
    assert page == render(), "run: python -m regsync.spec.reference > docs/spec.md"
    assert all(f"## {kind}\n" in page for kind in KINDS)
