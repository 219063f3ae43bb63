"""What every real client can do with a registry, each in its own words.

    client = CLIENTS["crane"](tool("crane"), setting, directory)
    client.push(layout, "team/app:v1")

A `Setting` says where the registry is, who logs in, and which authority to trust.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import Content, sha256
from tests.support.regsync_server import RegsyncServer
from tests.support.tools import Tool


@dataclass(frozen=True)
class Setting:
    """A server, user and password where one logs in, the file of its authority where it serves TLS."""

    server: RegsyncServer
    login: tuple[str, str] | None = None
    ca: Path | None = None


class Client(ABC):
    """A client that trusts the server, and has logged in where that is needed."""

    def __init__(self, tool: Tool, setting: Setting, directory: Path) -> None:
        self._tool, self.directory = tool, directory
        self.host, self.ca = setting.server.host, setting.ca
        self.prepare()
        if setting.login is not None:
            self.login(*setting.login)

    def run(self, *arguments: str | Path) -> str:
        """Run it; returns what it says."""
        env = {"SSL_CERT_FILE": str(self.ca)} if self.ca is not None else {}
        return self._tool(*arguments, env=env)

    def at(self, reference: str) -> str:
        """With the host before it."""
        return f"{self.host}/{reference}"

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """What comes before all else."""

    @abstractmethod
    def login(self, user: str, password: str) -> None:
        """Log in for all that follows."""

    @abstractmethod
    def push(self, layout: Path, target: str) -> None:
        """Push what the layout holds as `whole`."""

    @abstractmethod
    def pull(self, source: str, layout: Path) -> None:
        """Pull all of it into a layout."""

    @abstractmethod
    def copy(self, source: str, target: str) -> None:
        """Copy within the registry."""

    @abstractmethod
    def tags(self, repository: str) -> list[str]:
        """What tags there are."""

    @abstractmethod
    def delete(self, repository: str, tag: str, digest: str) -> None:
        """Delete the manifest that the tag leads to."""


class Crane(Client):
    def login(self, user: str, password: str) -> None:
        self.run("auth", "login", self.host, "-u", user, "-p", password)

    def push(self, layout: Path, target: str) -> None:
        described = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
        whole = (layout / "blobs" / described.replace(":", "/")).read_bytes()
        (layout / "index.json").write_bytes(whole)  # crane pushes the layout's own index
        self.run("push", "--index", layout, self.at(target))

    def pull(self, source: str, layout: Path) -> None:
        self.run("pull", "--format=oci", self.at(source), layout)

    def copy(self, source: str, target: str) -> None:
        self.run("copy", self.at(source), self.at(target))

    def tags(self, repository: str) -> list[str]:
        return self.run("ls", self.at(repository)).split()

    def delete(self, repository: str, tag: str, digest: str) -> None:
        self.run("delete", self.at(f"{repository}@{digest}"))


class Skopeo(Client):
    def prepare(self) -> None:
        self._auth: list[str] = []
        certificates = self.directory / "certificates"
        certificates.mkdir()
        if self.ca is not None:
            (certificates / "ca.crt").write_bytes(self.ca.read_bytes())
        self._trust = f"cert-dir={certificates}" if self.ca is not None else "tls-verify=false"

    def login(self, user: str, password: str) -> None:
        auth = f"--authfile={self.directory / 'auth.json'}"
        self.run("login", f"--{self._trust}", auth, "-u", user, "-p", password, self.host)
        self._auth = [auth]

    def push(self, layout: Path, target: str) -> None:
        self._copy(f"oci:{layout}:whole", f"docker://{self.at(target)}")

    def pull(self, source: str, layout: Path) -> None:
        self._copy(f"docker://{self.at(source)}", f"oci:{layout}:whole")

    def copy(self, source: str, target: str) -> None:
        self._copy(f"docker://{self.at(source)}", f"docker://{self.at(target)}")

    def tags(self, repository: str) -> list[str]:
        said = self.run("list-tags", *self._options(), f"docker://{self.at(repository)}")
        found: list[str] = json.loads(said)["Tags"]
        return found

    def delete(self, repository: str, tag: str, digest: str) -> None:
        self.run("delete", *self._options(), f"docker://{self.at(f'{repository}:{tag}')}")

    def _options(self) -> Sequence[str]:
        return (f"--{self._trust}", *self._auth)

    def _copy(self, source: str, target: str) -> None:
        trust = (f"--src-{self._trust}", f"--dest-{self._trust}")
        options = ("--all", "--preserve-digests", *trust, *self._auth)
        self.run("--insecure-policy", "copy", *options, source, target)


class Oras(Client):
    def prepare(self) -> None:
        self._trust = "plain-http" if self.ca is None else f"ca-file={self.ca}"

    def login(self, user: str, password: str) -> None:
        self.run("login", f"--{self._trust}", "-u", user, "-p", password, self.host)

    def push(self, layout: Path, target: str) -> None:
        self.run("cp", "--from-oci-layout", f"--to-{self._trust}", f"{layout}:whole", self.at(target))

    def pull(self, source: str, layout: Path) -> None:
        self.run("cp", f"--from-{self._trust}", "--to-oci-layout", self.at(source), f"{layout}:whole")

    def copy(self, source: str, target: str) -> None:
        self.run("cp", f"--from-{self._trust}", f"--to-{self._trust}", self.at(source), self.at(target))

    def tags(self, repository: str) -> list[str]:
        return self.run("repo", "tags", f"--{self._trust}", self.at(repository)).split()

    def repositories(self) -> list[str]:
        """All that the registry lists."""
        return self.run("repo", "ls", f"--{self._trust}", self.host).split()

    def delete(self, repository: str, tag: str, digest: str) -> None:
        self.run("manifest", "delete", "--force", f"--{self._trust}", self.at(f"{repository}:{tag}"))

    def attach(self, subject: str, artifact_type: str, path: Path) -> None:
        """Push a file as an artifact that refers to `subject`."""
        kind = ("--artifact-type", artifact_type)
        self.run(
            "attach",
            f"--{self._trust}",
            "--disable-path-validation",
            *kind,
            self.at(subject),
            f"{path}:text/x",
        )

    def referrers(self, subject: str) -> list[tuple[str, str]]:
        """Digest and artifact type of each."""
        said = self.run("discover", f"--{self._trust}", "--format", "json", self.at(subject))
        return [(one["digest"], one["artifactType"]) for one in json.loads(said)["referrers"]]


class Regctl(Client):
    def prepare(self) -> None:
        trust = ("--tls", "disabled") if self.ca is None else ("--cacert", self.ca.read_text())
        self.run("registry", "set", *trust, "--skip-check", self.host)

    def login(self, user: str, password: str) -> None:
        self.run("registry", "login", "-u", user, "-p", password, self.host)

    def push(self, layout: Path, target: str) -> None:
        self.run("image", "copy", f"ocidir://{layout}:whole", self.at(target))

    def pull(self, source: str, layout: Path) -> None:
        self.run("image", "copy", self.at(source), f"ocidir://{layout}:whole")

    def copy(self, source: str, target: str) -> None:
        self.run("image", "copy", "--referrers", self.at(source), self.at(target))

    def tags(self, repository: str) -> list[str]:
        return self.run("tag", "ls", self.at(repository)).split()

    def repositories(self) -> list[str]:
        """All that the registry lists."""
        return self.run("repo", "ls", self.host).split()

    def delete(self, repository: str, tag: str, digest: str) -> None:
        self.run("manifest", "delete", self.at(f"{repository}@{digest}"))

    def untag(self, reference: str) -> None:
        """Delete the tag alone."""
        self.run("tag", "rm", self.at(reference))

    def attach(self, subject: str, artifact_type: str, path: Path) -> None:
        """Push a file as an artifact that refers to `subject`."""
        kind = ("--artifact-type", artifact_type)
        self.run("artifact", "put", "--subject", self.at(subject), *kind, "--file", path)

    def referrers(self, subject: str) -> list[tuple[str, str]]:
        """Digest and artifact type of each."""
        said = self.run("artifact", "list", "--format", "body", self.at(subject))
        return [(one["digest"], one["artifactType"]) for one in json.loads(said)["manifests"]]


CLIENTS: Mapping[str, type[Client]] = {"crane": Crane, "skopeo": Skopeo, "oras": Oras, "regctl": Regctl}


def write_layout(directory: Path, content: Content) -> Path:
    """An OCI image layout with the content as `whole`."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for node in content.walk():
        for data in (node.data, *node.blobs):
            (blobs / sha256(data)[7:]).write_bytes(data)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = content.descriptor(annotations={"org.opencontainers.image.ref.name": "whole"})
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return directory


def layout_blobs(directory: Path) -> set[bytes]:
    """All that a layout holds."""
    return {path.read_bytes() for path in (directory / "blobs" / "sha256").iterdir()}
