import shutil
from pathlib import Path

import pytest

from regsync.spec.expand import needs_listing, units
from regsync.spec.load import load
from regsync.spec.problems import InvalidSpecError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    "name",
    ["hub-to-two-clouds", "version-tracks", "air-gap", "air-gap/inside", "quickstart", "teams", "renovate"],
)
def test_an_example_loads(name: str) -> None:
    spec = load([EXAMPLES / name])
    assert spec.mirrors
    for mirror in spec.mirrors:
        assert needs_listing(mirror) or units(mirror)


def test_the_example_of_a_server_loads() -> None:
    assert load([EXAMPLES / "server"]).server is not None


def test_a_team_of_the_example_goes_no_further_than_its_project(tmp_path: Path) -> None:
    copy = shutil.copytree(EXAMPLES / "teams", tmp_path / "teams")
    path = copy / "data" / "mirrors.yaml"
    path.write_text(path.read_text().replace("prod/data/postgres", "prod/web/postgres"))
    with pytest.raises(InvalidSpecError, match=r"prod/web/postgres is outside: Project data \(.*prod/data/"):
        load([copy])


def test_no_example_is_forgotten() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {
        "hub-to-two-clouds",
        "version-tracks",
        "air-gap",
        "git-and-ci",
        "cron",
        "consistency",
        "dry-run",
        "quickstart",
        "renovate",
        "server",
        "signing",
        "teams",
    }
