"""Documentation that is made from the code is the code's."""

from pathlib import Path

from regsync.cli.exit_codes import table
from regsync.cli.main import VERBS
from regsync.cli.reference import document

ROOT = Path(__file__).parents[2]


def test_the_command_reference_is_current() -> None:
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == document(), (
        "stale: run `python -m regsync.cli.reference > docs/commands.md`"
    )


def test_the_readme_names_every_command_and_exit_code() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`regsync {name}" in readme for name in VERBS)
    assert all(str(code) in readme for code, _ in table() if code != 70)


def test_links_of_the_documentation_lead_somewhere() -> None:
    import re

    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not target.startswith(("http:", "https:")) and not (page.parent / target).exists()
    ]
    assert broken == []
