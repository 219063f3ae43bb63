"""What the documentation shows works as it is shown."""

import filecmp
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import QUICKSTART, Regsync

ROOT = QUICKSTART.parents[1]
PAGES = ("README.md", "docs/getting-started.md")


def specs() -> list[tuple[str, str]]:
    """Every whole spec in a page, with where it stands."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
        found += [(f"{page} {number}", block) for number, block in enumerate(blocks) if "apiVersion" in block]
    return found


@pytest.mark.parametrize(("where", "text"), specs(), ids=[where for where, _ in specs()])
def test_specs_in_the_documentation_are_valid(
    regsync: Regsync, tmp_path: Path, where: str, text: str
) -> None:
    spec = tmp_path / "regsync.yaml"
    spec.write_text(text)
    ran = regsync("validate", spec)
    assert ran.code == 0, f"{where}: {ran.err}"


def test_the_images_of_the_quick_start_are_what_its_script_makes(quickstart: Path) -> None:
    subprocess.run([sys.executable, quickstart / "make_images.py"], check=True)
    different = [
        path.relative_to(QUICKSTART)
        for path in sorted((QUICKSTART / "images").rglob("*"))
        if path.is_file() and not filecmp.cmp(path, quickstart / path.relative_to(QUICKSTART), shallow=False)
    ]
    assert different == []


def test_commands_in_the_readme_exist(regsync: Regsync) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = {found for found in re.findall(r"^\s{4}(?:\.venv/bin/)?regsync (\w+)", text, re.MULTILINE)}
    assert {"sync", "plan", "inspect", "copy", "validate", "schema"} <= verbs
    for verb in verbs:
        assert regsync(verb, "--help").code == 0
