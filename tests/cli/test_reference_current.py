"""Documentation that is made from the code is the code's."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import regsync
from regsync.cli.exit_codes import table
from regsync.cli.main import VERBS
from regsync.cli.reference import document
from regsync.errors import RegsyncError

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
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not target.startswith(("http:", "https:")) and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_error_has_its_line_of_what_to_do() -> None:
    """Roots and branches are what others are derived from; the leaves are what a person meets."""
    for module in pkgutil.walk_packages(regsync.__path__, "regsync."):
        if "migrations" not in module.name and module.name != "regsync.__main__":
            importlib.import_module(module.name)
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    missing = [one.__name__ for one in leaves(RegsyncError) if not re.search(rf"\b{one.__name__}\b", page)]
    assert missing == []


def leaves(root: type[RegsyncError]) -> Iterator[type[RegsyncError]]:
    below = [one for one in root.__subclasses__() if one.__module__.startswith("regsync.")]
    if not below and root.__module__.startswith("regsync."):
        yield root
    for one in below:
        yield from leaves(one)
