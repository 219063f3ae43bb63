"""`lock --export`: where each locked image is, for people, for kustomize, and for imgpkg."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command_line import Regsync
from tests.support.tools import Tool

ONE, TWO, THREE = ("sha256:" + character * 64 for character in "123")

SPEC = """\
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: ours}
spec: {url: registry.example.com}
---
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: plain}
spec: {url: "http://10.0.0.1:5000"}
---
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: local}
spec: {store: ./data}
---
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: nginx}
spec:
  source: docker.io/library/nginx
  targets: [ours/hub/nginx, plain/nginx, local/nginx]
  tags: ["1.*"]
  rename: "v{tag}"
---
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: tool}
spec:
  source: quay.example.com:8443/team/tool
  targets: [ours/tool]
  tags: [stable]
  platforms: [linux/arm64]
"""
LOCK = f"""\
apiVersion: regsync.dev/v1
kind: Lock
images:
- image: docker.io/library/nginx:1.27@{ONE}
  mirror: nginx
- image: docker.io/library/nginx:1.28@{TWO}
  mirror: nginx
- image: docker.io/library/nginx:9.9@{TWO}
  mirror: nginx
- image: quay.example.com:8443/team/tool:stable@{TWO}
  mirror: tool
  index: {TWO}
  target: {THREE}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: short, image: "nginx:1.27"}
        - {name: half, image: "library/nginx:1.28"}
        - {name: whole, image: "docker.io/library/nginx:1.28"}
        - {name: hub, image: "docker.io/nginx:1.27"}
        - {name: tool, image: "quay.example.com:8443/team/tool:stable"}
        - {name: other, image: "nginx:1.2"}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "regsync.yaml").write_text(SPEC)
    (tmp_path / "regsync.lock").write_text(LOCK)
    return tmp_path


def test_a_list_has_a_full_reference_a_line(regsync: Regsync, directory: Path) -> None:
    ran = regsync("lock", directory, "--export", "list", "--target", "ours")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            f"registry.example.com/hub/nginx:v1.27@{ONE}",
            f"registry.example.com/hub/nginx:v1.28@{TWO}",
            f"registry.example.com/tool:stable@{THREE}",
        ],
    )
    plain = regsync("lock", directory, "--export", "list", "--target", "plain")
    assert plain.out.splitlines()[0] == f"10.0.0.1:5000/nginx:v1.27@{ONE}"


def test_kustomize_puts_the_copies_in_the_place_of_every_way_to_write_an_image(
    regsync: Regsync, directory: Path, tool: Callable[[str], Tool]
) -> None:
    kustomize = tool("kustomize")
    component = directory / "images"
    component.mkdir()
    ran = regsync("lock", directory, "--export", "kustomize", "--target", "ours")
    (component / "kustomization.yaml").write_text(ran.out)
    (directory / "deployment.yaml").write_text(DEPLOYMENT)
    (directory / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        "resources: [deployment.yaml]\ncomponents: [images]\n"
    )
    rendered = kustomize("build", directory)
    found = {line.partition("image: ")[2] for line in rendered.splitlines() if "image: " in line}
    assert found == {
        f"registry.example.com/hub/nginx@{ONE}",
        f"registry.example.com/hub/nginx@{TWO}",
        f"registry.example.com/tool@{THREE}",
        "nginx:1.2",
    }


def test_imgpkg_gets_a_lock_file_of_its_own_kind(regsync: Regsync, directory: Path, tmp_path: Path) -> None:
    ran = regsync("lock", directory, "--export", "imageslock", "--target", "ours")
    assert ran.out == (
        "apiVersion: imgpkg.carvel.dev/v1alpha1\n"
        "kind: ImagesLock\n"
        "images:\n"
        f'- image: "registry.example.com/hub/nginx@{ONE}"\n'
        "  annotations:\n"
        '    kbld.carvel.dev/id: "docker.io/library/nginx:1.27"\n'
        f'- image: "registry.example.com/hub/nginx@{TWO}"\n'
        "  annotations:\n"
        '    kbld.carvel.dev/id: "docker.io/library/nginx:1.28"\n'
        f'- image: "registry.example.com/tool@{THREE}"\n'
        "  annotations:\n"
        '    kbld.carvel.dev/id: "quay.example.com:8443/team/tool:stable"\n'
    )
    file = tmp_path / "images.yml"
    file.write_text(ran.out)
    assert f"registry.example.com/tool@{THREE}" in regsync("import", "imgpkg", file).out


def test_what_cannot_be_known_or_pulled_is_an_error(regsync: Regsync, directory: Path) -> None:
    def export(target: str) -> tuple[int, str]:
        ran = regsync("lock", directory, "--export", "list", "--target", target)
        return ran.code, ran.err

    assert export("local")[0] == 64
    assert export("our") == (64, "error: --target 'our': no mirror writes there\nhint: did you mean ours?\n")
    lock = directory / "regsync.lock"
    lock.write_text(LOCK.replace(f"stable@{TWO}", f"stable@{ONE}"))
    code, error = export("ours")
    assert code == 1
    assert "regsync.lock:10:3" in error
    assert "the digest of its trimmed index is not known" in error
    lock.unlink()
    assert export("ours")[0] == 65


def test_the_registry_is_asked_for_nothing(regsync: Regsync, directory: Path) -> None:
    # Its host does not exist: whoever asked would fail.
    assert regsync("lock", directory, "--export", "list", "--target", "ours").code == 0
    assert not (directory / ".regsync").exists()
