"""Observations as JSON: `plan --record` writes them. Their schema is docs/schemas/observation.schema.json.

There are no credentials in it, no requests and no headers, and of an image's config only what selection
goes by. There are names of registries, repositories and tags, digests, manifests, labels and evidence:
whoever may read the file learns what whoever may list the registries knows.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from regsync.content.errors import ContentNotFoundError, RepositoryNotFoundError
from regsync.content.image_config import Config, labels, text
from regsync.errors import (
    DeferredError,
    DeniedError,
    RefusedError,
    RegsyncError,
    TemporaryError,
    UnsupportedError,
)
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.plan.document import API_VERSION, timestamp
from regsync.reconcile.recording import Facts, Key, Name, Recording, SeenRepository

Shown = Callable[[Any], object]
KIND = "Observation"
MAX_MESSAGE = 4096  # characters of one that is kept

# What a run does next depends on the kind of an error; the first that fits is written.
KINDS: tuple[tuple[str, type[RegsyncError]], ...] = (
    ("repository-not-found", RepositoryNotFoundError),
    ("not-found", ContentNotFoundError),
    ("denied", DeniedError),
    ("refused", RefusedError),
    ("unsupported", UnsupportedError),
    ("deferred", DeferredError),
    ("temporary", TemporaryError),
    ("failed", RegsyncError),
)


def recording_document(recording: Recording) -> dict[str, object]:
    """The observation as JSON values, its lists lazy: for `encode`."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "taken": timestamp(recording.taken),
        "hasHistory": recording.has_history,
        "catalogues": [
            {"place": place, **_either("repositories", found, list)}
            for place, found in sorted(recording.catalogues.items())
        ],
        "contents": _contents(recording.contents),
        "repositories": _repositories(recording),
    }


def _contents(found: Mapping[Digest, bytes]) -> Iterator[Mapping[str, object]]:
    for digest in sorted(found):
        yield {"digest": str(digest), "data": b64encode(found[digest]).decode()}


def _repositories(recording: Recording) -> Iterator[Mapping[str, object]]:
    for key in sorted(recording.repositories):
        seen = recording.repositories[key]
        facts = recording.facts.get(key, Facts())
        yield {"place": key[0], "repository": key[1], **_seen(seen), **_facts(facts)}


def _seen(seen: SeenRepository) -> dict[str, object]:
    document: dict[str, object] = {
        "name": seen.name,
        "referrersApi": seen.has_referrers_api,
        "checksReferences": seen.checks_references,
        "deletes": seen.deletes,
        "names": [
            {**_name(name), **_either("descriptor", one, _descriptor)}
            for name, one in sorted(seen.names.items(), key=lambda item: str(item[0]))
        ],
        "there": [_of(digest, "there", one, bool) for digest, one in sorted(seen.there.items())],
        "referrers": [
            _of(digest, "listed", one, lambda found: [_descriptor(each) for each in found])
            for digest, one in sorted(seen.referrers.items())
        ],
        "blobs": [_of(digest, "size", one, int) for digest, one in sorted(seen.blobs.items())],
        "configs": [_of(digest, "config", one, _config) for digest, one in sorted(seen.configs.items())],
    }
    if seen.tags is not None:
        document["tags"] = _either("listed", seen.tags, _listing)
    if seen.push is not False:
        document["push"] = _error(seen.push) if isinstance(seen.push, RegsyncError) else {}
    return document


def _facts(facts: Facts) -> dict[str, object]:
    return {
        "firstSeen": [
            {"digest": str(digest), "at": timestamp(when)}
            for digest, when in sorted(facts.first_seen.items())
        ],
        "ours": [
            {"tag": tag, "digest": str(digest), **_origin(facts.origins.get(tag))}
            for tag, digest in sorted(facts.ours.items())
        ],
        "absences": [
            {"tag": tag, "since": timestamp(one.since), "last": timestamp(one.last), "runs": one.runs}
            for tag, one in sorted(facts.absences.items())
        ],
    }


def _origin(origin: Key | None) -> dict[str, object]:
    return {} if origin is None else {"origin": {"place": origin[0], "repository": origin[1]}}


def _name(name: Name) -> dict[str, object]:
    return {"digest": str(name)} if isinstance(name, Digest) else {"tag": name}


def _of(digest: Digest, key: str, found: object, shown: Shown) -> dict[str, object]:
    return {"digest": str(digest), **_either(key, found, shown)}


def _either(key: str, found: object, shown: Shown) -> dict[str, object]:
    """The value under its key, or the error that was the answer."""
    return {"error": _error(found)} if isinstance(found, RegsyncError) else {key: shown(found)}


def _error(error: RegsyncError) -> dict[str, object]:
    kind = next(name for name, one in KINDS if isinstance(error, one))
    hint = error.hint[:MAX_MESSAGE] if error.hint is not None else None
    return {"kind": kind, "message": str(error)[:MAX_MESSAGE], "hint": hint}


def _descriptor(desc: Descriptor) -> dict[str, object]:
    document: dict[str, object] = {
        "mediaType": desc.media_type,
        "digest": str(desc.digest),
        "size": desc.size,
    }
    if desc.artifact_type is not None:
        document["artifactType"] = desc.artifact_type
    if desc.annotations:
        document["annotations"] = dict(desc.annotations)
    return document


def _listing(found: Mapping[str, Descriptor | None]) -> list[object]:
    return [
        {"tag": tag, **({"descriptor": _descriptor(desc)} if desc is not None else {})}
        for tag, desc in found.items()  # in the order that the place gave
    ]


def _config(config: Config) -> dict[str, object]:
    document: dict[str, object] = {
        key: found
        for key in ("created", "os", "architecture", "variant", "os.version")
        if (found := text(config, key))
    }
    if said := labels(config):
        document["labels"] = dict(said)
    return document
