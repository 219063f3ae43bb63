"""`regsync prune` and `adopt` over OCI layouts and the built-in store."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from regsync.report.schemas import plan_schema, report_schema
from tests.cli.command_line import Ran, Regsync

PRUNED = "  prune: {grace: 0s, maxDeletes: 5, maxDeletePercent: 100}\n"


@pytest.fixture(params=["store: ./.regsync/store", "layout: ./copies"])
def spec(quickstart: Path, request: pytest.FixtureRequest, regsync: Regsync) -> Path:
    """The quick start, synced, with `prune` in its mirror and a rule that chooses less than before."""
    spec = quickstart / "regsync.yaml"
    text = spec.read_text().replace("store: ./.regsync/store", request.param)
    spec.write_text(text)
    assert regsync("sync", quickstart).code == 0
    narrower = text.replace('tags: ["1.4.*", latest]', "tags: [latest]")
    assert narrower != text
    spec.write_text(narrower.rstrip("\n") + "\n" + PRUNED)
    return spec


def actions(ran: Ran) -> list[tuple[str, str, str]]:
    return [(one["action"], one["target"], one["tag"]) for one in json.loads(ran.out)["actions"]]


def test_a_dry_run_says_what_would_go_and_a_run_deletes_it(regsync: Regsync, spec: Path) -> None:
    dry = regsync("prune", spec, "--dry-run", "--explain", "-o", "json")
    assert dry.code == 2, dry
    Draft202012Validator(plan_schema()).validate(json.loads(dry.out))
    expected = actions(dry)
    assert expected
    assert {verb for verb, _, _ in expected} == {"delete"}
    assert regsync("prune", spec, "--dry-run", "--exit-zero").code == 0

    ran = regsync("prune", spec, "-o", "json")

    assert ran.code == 0
    Draft202012Validator(report_schema()).validate(json.loads(ran.out))
    assert actions(ran) == expected
    again = regsync("prune", spec)
    assert (again.code, again.out.startswith("Nothing to do")) == (0, True)
    assert regsync("sync", spec).out.startswith("Nothing to do")


def test_what_was_deleted_is_put_back(regsync: Regsync, spec: Path) -> None:
    run = json.loads(regsync("prune", spec, "-o", "json").out)["run"]["id"]

    undone = regsync("prune", spec, "--undo", run, "-o", "json")

    assert undone.code == 0
    assert {verb for verb, _, _ in actions(undone)} == {"create"}
    assert regsync("prune", spec, "--dry-run").code == 2
    assert regsync("prune", spec, "--undo", "nonsense").code == 64


def test_text_and_markdown_say_why_each_tag_stays_or_goes(regsync: Regsync, spec: Path) -> None:
    text = regsync("prune", spec, "--dry-run", "--explain").out
    assert "quickstart: tags at local/acme/web" in text
    assert "kept    latest  wanted" in text
    assert "deleted 1.4.0  the mirror names no such tag of bundle/acme/web" in text
    markdown = regsync("prune", spec, "--dry-run", "--explain", "-o", "markdown").out
    assert "| `quickstart` | `local/acme/web` | `1.4.0` | deleted |" in markdown


def test_a_removed_mirror_goes_by_the_explicit_act_alone(regsync: Regsync, spec: Path) -> None:
    documents = spec.read_text().split("---\n")
    spec.write_text("---\n".join(documents[:-1]))
    assert actions(regsync("prune", spec, "-o", "json")) == []
    dry = regsync("prune", spec, "--abandoned", "--dry-run", "-o", "json")
    assert (dry.code, len(actions(dry))) == (2, 5)
    assert regsync("prune", spec, "--abandoned", "--max-deletes", "1").code == 3

    assert len(actions(regsync("prune", spec, "--abandoned", "-o", "json"))) == 5

    assert regsync("prune", spec, "--abandoned", "--dry-run").code == 0


def test_adopt_tells_how_many_tags_became_ours(regsync: Regsync, spec: Path) -> None:
    for path in (spec.parent / ".regsync").glob("ledger.db*"):
        path.unlink()

    first = regsync("adopt", spec)

    assert first.code == 0
    assert "adopted: 3 tags, 0 were ours before" in first.err
    assert "adopted: 0 tags, 3 were ours before" in regsync("adopt", spec).err


@pytest.mark.parametrize(
    "options",
    [
        ("--undo", "run", "--dry-run"),
        ("--undo", "run", "--abandoned"),
        ("--explain",),
        ("--exit-zero",),
        ("--max-deletes", "3"),
        ("--abandoned", "--max-deletes", "0"),
        ("--abandoned", "--dry-run", "--mirror", "quickstart"),
        ("--undo", "run", "--mirror", "quickstart"),
    ],
)
def test_options_that_do_not_go_together_are_misuse(
    regsync: Regsync, quickstart: Path, options: tuple[str, ...]
) -> None:
    assert regsync("prune", quickstart, *options).code == 64
