"""A spec under construction: documents, and notes about what has no counterpart."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from regsync.oci.digest import Digest
from regsync.oci.reference import InvalidReferenceError, Reference
from regsync.spec.documents import API_VERSION

STORE = "local"  # the registry that targets name where the file does not say where to
MAX_NAME = 50  # characters; a number may follow


@dataclass(frozen=True, slots=True)
class Imported:
    """A spec made of another tool's file."""

    documents: str  # YAML, which loads
    not_carried: tuple[str, ...]  # what it could not carry over, or reads differently


class Draft:
    """Collects documents; names are made unique, notes are kept once each."""

    def __init__(self, verb: str, name: str, target: str | None) -> None:
        self._verb, self._name, self._target = verb, name, target
        self._registries: dict[str, dict[str, Any]] = {}
        self._mirrors: dict[str, dict[str, Any]] = {}
        self._notes: dict[str, None] = {}

    def note(self, text: str) -> None:
        """Say what was not carried over."""
        self._notes[" ".join(text.split())] = None

    def registry(self, host: str, spec: Mapping[str, Any]) -> str:
        """Declare a registry; full references to its host then use it."""
        return self._add(self._registries, re.sub(r"[^a-z0-9]+", "-", host.lower()), spec)

    def mirror(self, name: str, spec: Mapping[str, Any]) -> str:
        """Add a mirror, under `name` or one like it."""
        return self._add(self._mirrors, name, spec)

    def target(self, path: str = "{repository}") -> str:
        """Where images go when the file does not say: the caller's wish, else a built-in store."""
        if self._target is not None:
            if "{repository}" in self._target:
                return self._target.replace("{repository}", path)
            return f"{self._target.rstrip('/')}/{path}"
        self._registries.setdefault(STORE, {"store": "./data"})
        return f"{STORE}/{path}"

    def images(self, references: Iterable[str], spec: Mapping[str, Any], name: str = "images") -> None:
        """Add mirrors for images by full reference; those of several hosts get a path each if they clash."""
        parsed: dict[Reference, None] = {}
        digests: dict[str, Digest] = {}
        for text in references:
            reference = self._reference(text)
            if reference is None:
                continue
            tagged = f"{reference.name}:{reference.tag}"
            digest = reference.digest
            if (
                reference.tag is not None
                and digest is not None
                and digests.setdefault(tagged, digest) != digest
            ):
                self.note(f"the tag of {reference}: it stands in the file with another digest too")
                reference = replace(reference, tag=None)
            parsed[reference] = None
        by_host: dict[str, list[Reference]] = {}
        for reference in sorted(parsed, key=str):
            by_host.setdefault(reference.host, []).append(reference)
        places = {(one.repository, one.tag) for one in parsed}
        clash = len(places) < len({(one.host, one.repository, one.tag) for one in parsed})
        for host, found in by_host.items() if clash else [("", sorted(parsed, key=str))]:
            path = f"{re.sub(r'[^a-z0-9.]+', '-', host)}/{{repository}}" if host else "{repository}"
            if not found:
                continue
            target = self.target(path)
            self.mirror(
                f"{name}-{host}" if host else name,
                {"images": {"list": [str(one) for one in found]}, "targets": [target], **spec},
            )

    def _reference(self, text: str) -> Reference | None:
        try:
            reference = Reference.parse(text.strip())
        except (InvalidReferenceError, ValueError) as cause:
            self.note(f"left out: {cause}")
            return None
        if reference.tag is None and reference.digest is None:
            self.note(f"{text.strip()} names no tag; taken as latest")
        return reference.with_default_tag()

    def _add(self, where: dict[str, dict[str, Any]], name: str, spec: Mapping[str, Any]) -> str:
        base = re.sub(r"[^a-z0-9._-]+", "-", name.lower())[:MAX_NAME].strip("._-") or "imported"
        unique, number = base, 1
        while unique in where:
            number += 1
            unique = f"{base}-{number}"
        where[unique] = dict(spec)
        return unique

    def finish(self) -> Imported:
        """The documents as YAML."""
        documents = [_document("Registry", name, spec) for name, spec in self._registries.items()]
        documents += [_document("Mirror", name, spec) for name, spec in self._mirrors.items()]
        head = f"# From {self._name} by `regsync {self._verb}`.\n"
        head += "".join(f"# Not carried over: {note}\n" for note in self._notes)
        # Text that YAML 1.1 would take for something else is quoted, so that other tools agree.
        body = yaml.safe_dump_all(
            documents, sort_keys=False, width=110, allow_unicode=True, explicit_start=True
        )
        return Imported(head + (body if documents else ""), tuple(self._notes))


def _document(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": _plain(spec)}


def _plain(value: Any) -> Any:
    """The same without subclasses of str, which the dumper does not know."""
    match value:
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case str():
            return str(value)
        case _:
            return value
