from datetime import UTC, datetime

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.facts import TagFacts
from regsync.spec.renaming import InvalidRenameError, RenameFailedError, parse_template
from regsync.spec.versions import parse_version

FACTS = TagFacts(Digest.of(b""), datetime(2026, 1, 1, 23, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{tag}", "v1.27.3"),
        ("{tag}-mirror", "v1.27.3-mirror"),
        ("{major}.{minor}", "1.27"),
        ("r{patch}", "r3"),
        ("{tag}-{digest:12}", "v1.27.3-e3b0c44298fc"),
        ("{date}", "20260101"),
        ("stable", "stable"),
    ],
)
def test_templates_are_filled(template: str, expected: str) -> None:
    tag = Tag("v1.27.3")
    assert parse_template(template).fill(tag, parse_version(tag), FACTS) == expected


@pytest.mark.parametrize(
    "template", ["{name}", "{}", "{tag", "tag}", "{tag:3}", "{digest:999}", "{digest:2}", "{Tag}", "x" * 201]
)
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(InvalidRenameError):
        parse_template(template)


def test_a_tag_that_cannot_be_renamed_says_why() -> None:
    with pytest.raises(RenameFailedError, match="needs a version"):
        parse_template("{major}").fill(Tag("latest"), None, None)
    with pytest.raises(RenameFailedError, match="not known"):
        parse_template("{digest:8}").fill(Tag("latest"), None, None)
    with pytest.raises(RenameFailedError, match="invalid tag"):
        parse_template("{tag}" + "x" * 128).fill(Tag("latest"), None, None)
