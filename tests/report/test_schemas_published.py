from pathlib import Path

import pytest

from regsync.report.schemas import SCHEMAS, text_of, write_all

DOCS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_the_one_in_force(name: str) -> None:
    published = (DOCS / f"{name}.schema.json").read_text(encoding="utf-8")
    assert published == text_of(SCHEMAS[name]()), "stale: run `python -m regsync.report.schemas docs/schemas`"


def test_all_of_them_are_written(tmp_path: Path) -> None:
    write_all(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.schema.json" for name in SCHEMAS}
