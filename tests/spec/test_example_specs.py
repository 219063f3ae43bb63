from pathlib import Path

import pytest

from regsync.spec.expand import needs_listing, units
from regsync.spec.load import load

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    "name", ["hub-to-two-clouds", "version-tracks", "air-gap", "air-gap/inside", "quickstart"]
)
def test_an_example_loads(name: str) -> None:
    spec = load([EXAMPLES / name])
    assert spec.mirrors
    for mirror in spec.mirrors:
        assert needs_listing(mirror) or units(mirror)


def test_the_example_of_a_server_loads() -> None:
    assert load([EXAMPLES / "server"]).server is not None


def test_no_example_is_forgotten() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {
        "hub-to-two-clouds",
        "version-tracks",
        "air-gap",
        "quickstart",
        "server",
        "signing",
    }
