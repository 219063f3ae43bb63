"""examples/renovate: its pattern finds the digests of real lock files, and nothing that is not a bot's."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.lock import LockEntry, LockFile
from regsync.spec.lock_writing import lock_text
from tests.cli.command_line import QUICKSTART, Regsync
from tests.support import tools
from tests.support.certificates import Certificates
from tests.support.images import client, image, push
from tests.support.servers import RegistryServer
from tests.support.tools import Tool

EXAMPLE = QUICKSTART.parent / "renovate"
PROGRAM = """\
package main

import ("encoding/json"; "io"; "os"; "regexp")

func main() {
	text, _ := io.ReadAll(os.Stdin)
	pattern := regexp.MustCompile(os.Args[1])
	found := []map[string]string{}
	for _, match := range pattern.FindAllSubmatch(text, -1) {
		one := map[string]string{}
		for number, name := range pattern.SubexpNames() {
			if name != "" { one[name] = string(match[number]) }
		}
		found = append(found, one)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}
"""
SPEC = """\
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: source}
spec: {url: HOST, tls: {ca: CA}}
---
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: local}
spec: {store: ./data}
---
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: app}
spec: {source: source/team/app, targets: [local/app], tags: ["v*"]}
"""
ONE, TWO = (Digest.of(text) for text in (b"one", b"two"))
Find = Callable[[str], list[Mapping[str, str]]]


def pattern() -> str:
    (manager,) = json.loads((EXAMPLE / "renovate.json").read_text())["customManagers"]
    (found,) = manager["matchStrings"]
    return str(found)


def by_python(text: str) -> list[Mapping[str, str]]:
    compiled = re.compile(pattern().replace("(?<", "(?P<"))
    return [found.groupdict() for found in compiled.finditer(text)]


@pytest.fixture(scope="module")
def by_re2(tmp_path_factory: pytest.TempPathFactory) -> Find:
    """Go's expressions are RE2's, which is what Renovate uses."""
    go = shutil.which("go")
    if go is None:
        tools.missing("go is not installed")
    directory = tmp_path_factory.mktemp("re2")
    (directory / "main.go").write_text(PROGRAM)
    program = directory / "find"
    subprocess.run([go, "build", "-o", program, directory / "main.go"], check=True, timeout=300)

    def find(text: str) -> list[Mapping[str, str]]:
        ran = subprocess.run([program, pattern()], input=text.encode(), capture_output=True, check=True)
        found: list[Mapping[str, str]] = json.loads(ran.stdout)
        return found

    return find


def locked(*entries: LockEntry) -> str:
    return "".join(lock_text(LockFile(Path("regsync.lock"), entries)))


def entry(repository: str, tag: str = "1.27.1", **more: object) -> LockEntry:
    return LockEntry(repository, Tag(tag), ONE, mirror="m", rule="semver '>=1'", size=1, **more)  # type: ignore[arg-type]


def test_every_image_of_a_registry_is_found_with_name_tag_and_digest(by_re2: Find) -> None:
    names = [
        "docker.io/library/nginx",
        "ghcr.io/team/a.b_c/d-e",
        "registry.example.com:8443/x/y/z",
        "localhost:5000/app",
        "public.ecr.aws/a/b",
    ]
    text = locked(*map(entry, names), entry(names[0], "1.28_x"), entry(names[0], "latest"))
    found = by_re2(text)
    assert found == by_python(text)
    assert {(one["depName"], one["currentValue"], one["currentDigest"]) for one in found} == {
        *((name, "1.27.1", str(ONE)) for name in names),
        (names[0], "1.28_x", str(ONE)),
        (names[0], "latest", str(ONE)),
    }


def test_what_is_held_or_in_no_registry_or_a_comment_or_pinned_is_not_found(by_re2: Find) -> None:
    text = locked(
        entry("docker.io/library/nginx", hold=True),
        entry("bundle/acme/web"),
        entry("http://10.0.0.1:5000/app"),
        LockEntry("docker.io/library/nginx", None, ONE),
        entry("docker.io/library/redis", comments=(f"# was - image: docker.io/library/redis:1@{TWO}",)),
    )
    assert [one["depName"] for one in by_re2(text)] == ["docker.io/library/redis"]
    assert by_re2(text) == by_python(text)


def test_a_digest_that_a_bot_moves_in_a_real_lock_file_is_what_the_next_run_brings(
    regsync: Regsync,
    by_re2: Find,
    distribution_factory: Callable[..., RegistryServer],
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    server = distribution_factory(certificates=certificates)
    host = server.url.removeprefix("https://")
    spec = tmp_path / "spec" / "regsync.yaml"
    spec.parent.mkdir()
    spec.write_text(SPEC.replace("HOST", host).replace("CA", str(certificates.ca)))
    with client(str(certificates.ca)) as http:
        old = push(server.url, "team/app", image("old"), "v1", http=http)
        assert regsync("lock", spec).code == 0
        new = push(server.url, "team/app", image("new"), "v1", http=http)
    lock = spec.parent / "regsync.lock"
    (found,) = by_re2(lock.read_text())
    assert found == {"depName": f"{host}/team/app", "currentValue": "v1", "currentDigest": old.digest}

    lock.write_text(lock.read_text().replace(old.digest, new.digest))

    assert regsync("lock", spec, "--check").code == 0
    assert regsync("sync", spec, "--locked").code == 0
    shown = regsync("inspect", f"store:{spec.parent}/data/app:v1", "-o", "json")
    assert json.loads(shown.out)["digest"] == new.digest
    held = regsync("rollback", "app", "v1", spec, "--to", old.digest)
    assert (held.code, by_re2(lock.read_text())) == (0, [])


def test_the_example_names_the_tags_and_the_workflow_is_one(
    tool: Callable[[str], Tool], regsync: Regsync
) -> None:
    assert regsync("validate", EXAMPLE).code == 0
    tool("actionlint")(EXAMPLE / "lock.yml")
