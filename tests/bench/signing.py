"""What signing requirements cost: 500 signed images checked and verified, in turn on this machine.

    python -m tests.bench.signing --rounds 5

A distribution registry on each side, 500 images of 20 repositories, each signed with a key, once as
cosign 2 signs (`.sig` tags) and once as cosign 3 does (a bundle at the fallback tag). Compared are syncs
that find nothing to do: without a policy, with one whose verdicts are remembered, and with one that is
asked for the first time. Nothing else should run meanwhile.
"""

import argparse
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import contenders, corpus, measure
from tests.support import images, servers
from tests.support.signing_keys import new_key, public_pem
from tests.support.sigstore_evidence import (
    bundle_referrer,
    dsse_bundle,
    layers_manifest,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Signer

KEY = Signer(new_key())
ALLOWED, MORE_SECONDS = 1.5, 1.0  # a first verdict may take so many times a plain check, and so much more
Sign = Callable[[str, str, images.Content, Any], None]


def by_tag(url: str, repository: str, content: images.Content, http: Any) -> None:
    """A signature as cosign 2 pushes one."""
    signed = layers_manifest(signature_layer(KEY, content.digest))
    images.push(url, repository, signed, images.cosign_tag(content), http=http)


def by_bundle(url: str, repository: str, content: images.Content, http: Any) -> None:
    """A signature as cosign 3 pushes one to a registry without the referrers API."""
    signed = bundle_referrer(content, dsse_bundle(KEY, statement(content.digest)))
    images.push(url, repository, signed, http=http)
    index = images.fallback_index(signed)
    images.put_manifest(url, repository, images.fallback_tag(content), index, http)


def fill(url: str, sign: Sign) -> int:
    """Push and sign the small corpus; returns the count of images."""
    with images.client() as http, ThreadPoolExecutor(8) as pool:

        def push(one: corpus.Tagged) -> int:
            content = images.push(url, one.repository, one.make(), *one.tags, http=http)
            sign(url, one.repository, content, http)
            return 1

        return sum(pool.map(push, corpus.PROFILES["small"]()))


def spec(source: str, target: str, directory: Path, *, policy: bool) -> Path:
    """The mirror, with or without a policy."""
    document = contenders.document
    documents = [
        document("Registry", "source", {"url": source}),
        document("Registry", "target", {"url": target}),
    ]
    mirror: dict[str, Any] = {
        "source": "source/{repository}",
        "targets": ["target/{repository}"],
        "repositories": corpus.repositories("small"),
        "tags": ["*"],
    }
    if policy:
        mirror["verify"] = ["signed"]
        key = {"key": {"data": public_pem(KEY.key).decode(), "tlog": "ignore"}}
        rules = {"authorities": {"ops": key}, "require": {"signature": {"authority": "ops"}}}
        documents.append(document("VerificationPolicy", "signed", rules))
    documents.append(document("Mirror", "bench", mirror))
    path = directory / ("with.yaml" if policy else "without.yaml")
    path.write_text("\n---\n".join(documents) + "\n")
    return path


def forget_verdicts(state: Path) -> None:
    """So that every policy is asked again."""
    with sqlite3.connect(state) as ledger:
        ledger.execute("DELETE FROM verdict")


def rows(directory: Path, rounds: int, sign: Sign) -> Iterator[tuple[str, float]]:
    """Seconds by what was done, in turn."""
    state = directory / "state.db"
    (directory / "source").mkdir()
    (directory / "target").mkdir()
    with (
        servers.distribution(directory / "source") as source,
        servers.distribution(directory / "target") as target,
    ):
        count = fill(source.url, sign)
        without = spec(source.url, target.url, directory, policy=False)
        with_policy = spec(source.url, target.url, directory, policy=True)

        def sync(path: Path) -> tuple[float, int]:
            command = [*contenders.our_program(), "sync", str(path), "--state", str(state), "-o", "json"]
            usage = measure.run(command, directory=directory, env=contenders.our_environment())
            text = (directory / "output.log").read_text()
            report = json.loads(text[text.index("{\n") :])
            assert report["summary"]["unchanged"] in (0, count), report["summary"]
            return usage.seconds, sum(report["run"]["requests"].get("source", {}).values())

        sync(with_policy)
        for _ in range(rounds):
            plain, plain_requests = sync(without)
            yield "plain check", plain
            forget_verdicts(state)
            first, first_requests = sync(with_policy)
            yield "first verdict", first
            yield "requests an image for it", (first_requests - plain_requests) / count
            remembered, remembered_requests = sync(with_policy)
            yield "remembered verdict", remembered
            yield "requests an image from memory", (remembered_requests - plain_requests) / count


def main() -> None:
    """Print a table for each format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="where to work, such as a tmpfs")
    arguments = parser.parse_args()
    for name, sign in (("cosign 2, .sig tags", by_tag), ("cosign 3, bundles at fallback tags", by_bundle)):
        found: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory(prefix="regsync-bench-", dir=arguments.directory) as directory:
            for what, figure in rows(Path(directory), arguments.rounds, sign):
                found.setdefault(what, []).append(figure)
        print(f"\n{name}")
        for what, figures in found.items():
            print(f"  {what:32} {median(figures):8.3f}   ({', '.join(f'{one:.3f}' for one in figures)})")
        allowed = ALLOWED * median(found["plain check"]) + MORE_SECONDS
        verdict = "met" if median(found["first verdict"]) <= allowed else "MISSED"
        print(f"  goal: first verdict within {allowed:.3f} s: {verdict}")


if __name__ == "__main__":
    main()
