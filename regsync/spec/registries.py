"""Registry and RegistryGroup documents to places under names, and texts to locations in them."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from regsync.oci.reference import DOCKER_HUB, InvalidReferenceError, is_host, parse_host
from regsync.spec.documents import RegistryDocument, RegistryGroupDocument
from regsync.spec.model import (
    DEFAULT_MAX_WAIT,
    Auth,
    LayoutPlace,
    Limits,
    Login,
    Place,
    Registry,
    RemotePlace,
    StorePlace,
    Tls,
)
from regsync.spec.nodes import Step
from regsync.spec.problems import Problems, nearest
from regsync.spec.reading import Document
from regsync.spec.registry_keys import RegistryKeys, SecretSource
from regsync.spec.secret import SecretRef

NO_CREDENTIALS = "credentials do not stand in a URL: declare a Registry with auth"


class UnknownPlaceError(ValueError):
    """The first part of a location names no place; `guess` is what was probably meant."""

    def __init__(self, cause: str, guess: str | None = None) -> None:
        super().__init__(cause)
        self.guess = guess


@dataclass(slots=True)
class Registries:
    """What the first part of a location may be. Hosts of full references are added as they are met."""

    declared: dict[str, Registry] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)  # names whose documents have problems of their own
    implicit: dict[str, Registry] = field(default_factory=dict)
    _by_host: dict[str, list[Registry]] = field(default_factory=dict)

    def declare(self, registry: Registry) -> None:
        """Add what a document declares."""
        self.declared[registry.name] = registry
        if isinstance(registry.place, RemotePlace):
            self._by_host.setdefault(registry.place.host, []).append(registry)

    @property
    def by_name(self) -> dict[str, Registry]:
        """Every registry, those made from full references included."""
        return dict(sorted({**self.implicit, **self.declared}.items()))

    def one(self, first: str) -> str:
        """The registry that the first part of a source names; raises UnknownPlaceError."""
        if first in self.groups:
            raise UnknownPlaceError(f"{first} is a RegistryGroup; a source is one registry")
        return self._resolve(first)

    def many(self, first: str) -> tuple[str, ...]:
        """The registries that the first part of a target names; raises UnknownPlaceError."""
        return self.groups[first] if first in self.groups else (self._resolve(first),)

    def _resolve(self, first: str) -> str:
        if first in self.declared or first in self.broken:
            return first
        scheme, _, host = first.rpartition("://")
        if scheme not in ("", "http", "https"):
            raise UnknownPlaceError(f"expected a host, https:// or http://, found {scheme[:20]}://")
        if not is_host(host):
            guess = nearest(first, {*self.declared, *self.groups, *self.broken})
            ways = "a full reference begins with a host, such as docker.io/"
            raise UnknownPlaceError(
                f"there is no Registry or RegistryGroup named {first[:60]!r}; {ways}", guess
            )
        try:
            host = _host(scheme, host)
        except InvalidReferenceError as cause:
            raise UnknownPlaceError(str(cause)) from cause
        return self._of_host(scheme, host)

    def _of_host(self, scheme: str, host: str) -> str:
        known = [one for one in self._by_host.get(host, []) if not scheme or _scheme(one.place) == scheme]
        if len(known) > 1:
            names = " and ".join(sorted(one.name for one in known))
            raise UnknownPlaceError(f"{host} is declared as {names}: name the one that is meant")
        if known:
            return known[0].name
        name = f"http://{host}" if scheme == "http" else host
        self.implicit.setdefault(name, Registry(name, RemotePlace(scheme or "https", host)))
        return name


def _scheme(place: Place) -> str:
    return place.scheme if isinstance(place, RemotePlace) else ""


def read_registries(documents: Iterable[Document], problems: Problems) -> Registries:
    """Every Registry and RegistryGroup; names used twice and members that are none are problems."""
    found = Registries()
    own = [one for one in documents if one.kind in ("Registry", "RegistryGroup")]
    unique = refuse_repeated_names(own, problems)
    for document in unique:
        name = document.name or ""
        if isinstance(document.model, RegistryDocument) and not document.dropped:
            registry = _registry(document, document.model, problems)
            if registry is not None:
                found.declare(registry)
                continue
        if not isinstance(document.model, RegistryGroupDocument):
            found.broken.add(name)
    _share_limits(found, unique, problems)
    for document in unique:
        if isinstance(document.model, RegistryGroupDocument):
            found.groups[document.name or ""] = _members(document, document.model, found, unique, problems)
    return found


def refuse_repeated_names(documents: Sequence[Document], problems: Problems) -> list[Document]:
    """The documents with a name that no earlier one has."""
    first: dict[str, Document] = {}
    for document in documents:
        name = document.name
        if name is None:
            continue
        if name in first:
            where = first[name].position("metadata", "name")
            spot = document.at("metadata", "name")
            problems.add(spot.position, spot.path, f"the name {name[:80]!r} is used twice; first at {where}")
        else:
            first[name] = document
    return list(first.values())


def _members(
    document: Document,
    model: RegistryGroupDocument,
    found: Registries,
    documents: Sequence[Document],
    problems: Problems,
) -> tuple[str, ...]:
    groups = {one.name for one in documents if one.kind == "RegistryGroup"}
    for number, name in enumerate(model.spec.registries):
        spot = document.at("spec", "registries", number)
        if name in groups:
            problems.add(spot.position, spot.path, f"{name} is a RegistryGroup; members are registries")
        elif name not in found.declared and name not in found.broken:
            guess = nearest(name, found.declared)
            problems.add(spot.position, spot.path, f"there is no Registry named {name!r}", guess)
    return tuple(dict.fromkeys(name for name in model.spec.registries if name in found.declared))


def _registry(document: Document, model: RegistryDocument, problems: Problems) -> Registry | None:
    keys = model.spec
    place = _place(document, keys, problems)
    if place is None:
        return None
    if isinstance(place, RemotePlace) and place.scheme == "http" and keys.tls is not None:
        spot = document.at("spec", "tls")
        problems.add(spot.position, spot.path, "tls has no effect on a registry that is written http://")
    tls = Tls()
    if keys.tls is not None:
        tls = Tls(*(_optional_path(document, one) for one in (keys.tls.ca, keys.tls.cert, keys.tls.key)))
    return Registry(
        name=model.metadata.name,
        place=place,
        provider=keys.provider,
        auth=_auth(document, keys),
        tls=tls,
        limits=_limits(keys),
        position=document.root.position,
    )


def _auth(document: Document, keys: RegistryKeys) -> Auth:
    auth = keys.auth
    if auth is None:
        return Auth(None)
    login = None
    if auth.username is not None and auth.password is not None:
        username = secret_ref(document, auth.username, "auth", "username")
        login = Login(username, secret_ref(document, auth.password, "auth", "password"))
    return Auth(login, tuple(auth.realms))


def _limits(keys: RegistryKeys) -> Limits:
    if keys.limits is None:
        return Limits()
    wait = keys.limits.max_wait
    return Limits(
        keys.limits.concurrency,
        keys.limits.requests_per_second,
        keys.limits.bytes_per_second,
        keys.limits.reserve,
        DEFAULT_MAX_WAIT if wait is None else wait.total_seconds(),
    )


def _place(document: Document, keys: RegistryKeys, problems: Problems) -> Place | None:
    if keys.store is not None:
        return StorePlace(absolute(document, keys.store))
    if keys.layout is not None:
        return LayoutPlace(absolute(document, keys.layout))
    scheme, separator, rest = (keys.url or "").rpartition("://")
    spot = document.at("spec", "url")
    if "@" in (keys.url or ""):  # first, since any other message would repeat it
        problems.add(spot.position, spot.path, NO_CREDENTIALS)
        return None
    if separator and scheme not in ("http", "https"):
        problems.add(
            spot.position, spot.path, f"expected a host, https:// or http://, found {scheme[:20]}://"
        )
        return None
    host, _, path = rest.partition("/")
    if path.strip("/"):
        message = f"expected a host without a path; {path[:80]!r} belongs to the repositories of mirrors"
        problems.add(spot.position, spot.path, message)
        return None
    try:
        return RemotePlace(scheme or "https", _host(scheme, host))
    except InvalidReferenceError as cause:
        problems.add(spot.position, spot.path, str(cause))
        return None


def _host(scheme: str, text: str) -> str:
    """The host in one spelling: the scheme's own port is left out; raises InvalidReferenceError."""
    return parse_host(text).removesuffix(":80" if scheme == "http" else ":443")


def _share_limits(found: Registries, documents: Sequence[Document], problems: Problems) -> None:
    """Registries of one host have the same limits; two that say different things are a problem."""
    by_name = {document.name: document for document in documents}
    setters: dict[str, Registry] = {}
    for registry in found.declared.values():
        if registry.limits == Limits() or not isinstance(registry.place, RemotePlace):
            continue
        other = setters.setdefault(registry.place.host, registry)
        if other.limits != registry.limits:
            spot = by_name[registry.name].at("spec", "limits")
            message = (
                f"{other.name} sets other limits for {registry.place.host}; registries of a host share them"
            )
            problems.add(spot.position, spot.path, message)
    for name, registry in found.declared.items():
        if isinstance(registry.place, RemotePlace) and registry.place.host in setters:
            found.declared[name] = replace(registry, limits=setters[registry.place.host].limits)


def secret_ref(document: Document, source: SecretSource, *path: Step) -> SecretRef:
    """Where the secret is that stands at a path below `spec`."""
    spot = document.at("spec", *path)
    named = f" {document.name}" if document.name else ""
    wanted_by = f"{spot.position}: {document.kind}{named}: {spot.path}"
    if source.env is not None:
        return SecretRef.from_env(source.env, wanted_by)
    return SecretRef.from_file(absolute(document, source.file or ""), wanted_by)


def _optional_path(document: Document, text: str | None) -> Path | None:
    return None if text is None else absolute(document, text)


def absolute(document: Document, text: str) -> Path:
    """A path that is relative to the file in which it stands."""
    return Path(os.path.abspath(document.directory / text))


def is_docker_hub(registry: Registry | None) -> bool:
    """Whether official images are below `library/` there."""
    return registry is not None and registry.place == RemotePlace("https", DOCKER_HUB)
