"""Server documents that the documentation shows are ones that the server takes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from regsync.spec.load import load
from tests.support.signing_layouts import SIGNING

ROOT = Path(__file__).resolve().parents[2]


def documents() -> Iterator[str]:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    yield from (text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: Server" in text)
    yield (ROOT / "manifests" / "overlays" / "registry" / "server.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", list(documents()))
def test_a_documented_server_is_a_valid_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text(text)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ops.pub").write_bytes((SIGNING / "cosign.pub").read_bytes())
    assert load([tmp_path / "server.yaml"]).server is not None
