"""The specs of README and docs/getting-started.md do what the text around them says."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.workspace import Workspace
from tests.support.images import image, index
from tests.support.registry_state import read_repository
from tests.support.servers import RegistryServer

ROOT = Path(__file__).parents[2]


def documented(page: str, source: str, target: str, places: tuple[str, str]) -> str:
    """The first whole spec of a page, its two registries replaced by ones that are here."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    text: str = next(block for block in blocks if "kind: Mirror" in block)
    assert all(place in text for place in places)
    return text.replace(places[0], source, 1).replace(places[1], target, 1)


@pytest.mark.parametrize(
    ("page", "places", "tags", "copies"),
    [
        (
            "README.md",
            ("docker.io", "registry.example.com"),
            {"library/nginx": ["1.26.3", "1.27.0", "1.27.1", "1.27.2", "1.28.0", "stable", "latest"]},
            {"library/nginx": {"1.27.1", "1.27.2", "1.28.0", "stable"}},
        ),
        (
            "docs/getting-started.md",
            ("quay.io", "http://127.0.0.1:5000"),
            {
                "prometheus/prometheus": ["v2.53.0", "v3.0.0", "v3.0.1", "main"],
                "prometheus/alertmanager": ["v0.27.0", "v0.28.0", "v0.28.0-rc.0"],
            },
            {
                "monitoring/prometheus": {"v3.0.0", "v3.0.1"},
                "monitoring/alertmanager": {"v0.27.0", "v0.28.0"},
            },
        ),
    ],
    ids=["readme", "getting-started"],
)
def test_a_spec_from_the_documentation_works_as_described(
    workspace: Workspace,
    distribution_factory: Callable[..., RegistryServer],
    page: str,
    places: tuple[str, str],
    tags: dict[str, list[str]],
    copies: dict[str, set[str]],
) -> None:
    source, target = distribution_factory(), distribution_factory()
    for name, wanted in tags.items():
        for tag in wanted:
            parts = (image(f"{name} {tag}", arch=arch) for arch in ("amd64", "arm64", "s390x"))
            source.push(name, index(*parts), tag)
    spec = workspace.path / "regsync.yaml"
    spec.write_text(documented(page, source.url, target.url, places))
    workspace.call("validate").exited(0)
    workspace.call("validate", "--expand").exited(0)
    workspace.call("plan", "--explain").exited(2)
    workspace.call("plan", "--out", "plan.json", "--report", "plan.md").exited(2)
    workspace.call("apply", "plan.json").exited(0)
    workspace.call("sync").exited(0)
    workspace.call("plan").exited(0)
    for name, expected in copies.items():
        state = read_repository(target.url, name)
        assert state.complete
        assert set(state.tags) == expected
    assert (workspace.path / "plan.md").read_text().startswith("#")
