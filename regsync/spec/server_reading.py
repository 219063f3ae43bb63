"""A `Server` document to what it means, with what a single document cannot tell: names that it refers to."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regsync.spec.keys import Keys
from regsync.spec.model import RemotePlace
from regsync.spec.problems import Problems, nearest
from regsync.spec.reading import Document
from regsync.spec.registries import Registries, absolute
from regsync.spec.server import (
    AccessRule,
    FirstPull,
    ImmutableRule,
    JwtIssuer,
    Listen,
    Server,
    ServerAuth,
    ServerGc,
    ServerLimits,
    ServerTls,
    Subject,
    Upstream,
    parse_listen,
)
from regsync.spec.server_keys import (
    JwtKeys,
    ServerAuthKeys,
    ServerDocument,
    ServerKeys,
    ServerLimitKeys,
    UpstreamKeys,
    name_of_issuer,
)
from regsync.spec.subjects import InvalidSubjectError, Known, parse_subject


def read_server(found: Sequence[Document], registries: Registries, problems: Problems) -> Server | None:
    """The one Server among the documents of that kind.

    A second is a problem, and so is a name that refers to nothing.
    """
    for document in found[1:]:
        message = f"there is at most one Server; the first is at {found[0].root.position}"
        problems.add(document.root.position, "", message)
    if not isinstance(found[0].model, ServerDocument):
        return None
    return _Reader(found[0], found[0].model.spec, registries, problems).server()


@dataclass(frozen=True, slots=True)
class _Reader:
    """One document, being read."""

    document: Document
    keys: ServerKeys
    registries: Registries
    problems: Problems

    def server(self) -> Server:
        keys = self.keys
        auth = self._auth(keys.auth)
        return Server(
            listen=self._listen(),
            store=None if keys.storage is None else self._path(keys.storage.store),
            tls=None if keys.tls is None else ServerTls(self._path(keys.tls.cert), self._path(keys.tls.key)),
            auth=auth,
            access=self._access(auth),
            immutable=tuple(
                ImmutableRule(tuple(one.repositories), tuple(one.tags)) for one in keys.immutable or ()
            ),
            read_only=keys.read_only,
            limits=_limits(keys.limits),
            audit=None if keys.audit is None else self._path(keys.audit.file),
            upstreams=self._upstreams(keys.upstreams or ()),
            gc=None if keys.gc is None else ServerGc(keys.gc.interval),
            position=self.document.root.position,
        )

    def _path(self, text: str) -> Path:
        return absolute(self.document, text)

    def _problem(self, message: str, *path: str | int, guess: str | None = None) -> None:
        spot = self.document.at("spec", *path)
        self.problems.add(spot.position, spot.path, message, guess)

    def _listen(self) -> Listen:
        try:
            return parse_listen(self.keys.listen)
        except ValueError as cause:
            self._problem(str(cause), "listen")
            return Listen("127.0.0.1", 5000)

    def _auth(self, keys: ServerAuthKeys | None) -> ServerAuth:
        if keys is None:
            return ServerAuth()
        issuers = tuple(self._issuer(one) for one in keys.jwt or ())
        self._unique([one.name for one in issuers], "name", "auth", "jwt")
        self._unique([one.issuer for one in issuers], "issuer", "auth", "jwt")
        return ServerAuth(
            htpasswd=None if keys.htpasswd is None else self._path(keys.htpasswd),
            groups={str(name): tuple(map(str, users)) for name, users in (keys.groups or {}).items()},
            jwt=issuers,
        )

    def _issuer(self, keys: JwtKeys) -> JwtIssuer:
        jwks = keys.jwks
        audiences = keys.audience if isinstance(keys.audience, list) else [keys.audience]
        return JwtIssuer(
            name=str(keys.name or name_of_issuer(keys.issuer)),
            issuer=str(keys.issuer),
            audiences=tuple(map(str, audiences)),
            jwks=self._path(jwks) if jwks is not None and "://" not in jwks else jwks,
            ca=None if keys.ca is None else self._path(keys.ca),
            username=str(keys.username),
            groups=str(keys.groups),
            require={str(claim): str(glob) for claim, glob in (keys.require or {}).items()},
        )

    def _access(self, auth: ServerAuth) -> tuple[AccessRule, ...] | None:
        if self.keys.access is None:
            if auth != ServerAuth() and "access" not in self.document.dropped:
                self._problem("auth without access allows nothing: say under access who may do what", "auth")
            return None
        if "auth" in self.document.dropped:  # what it says of logins is not known
            return None
        known = Known(auth)
        for group, users in auth.groups.items():
            self._subjects([f"user:{user}" for user in users], known, "auth", "groups", group)
        return tuple(
            AccessRule(
                self._subjects(keys.subjects, known, "access", number, "subjects"),
                tuple(keys.repositories),
                frozenset(keys.actions),
            )
            for number, keys in enumerate(self.keys.access)
        )

    def _subjects(self, texts: Sequence[str], known: Known, *path: str | int) -> tuple[Subject, ...]:
        found = []
        for number, text in enumerate(texts):
            try:
                found.append(parse_subject(text, known))
            except InvalidSubjectError as cause:
                self._problem(str(cause), *path, number, guess=cause.guess)
        return tuple(found)

    def _upstreams(self, keys: Sequence[UpstreamKeys]) -> tuple[Upstream, ...]:
        self._unique([one.prefix for one in keys], "prefix", "upstreams")
        self._unique([one.host or "" for one in keys], "host", "upstreams")
        for number, one in enumerate(keys):
            registry = self.registries.declared.get(one.registry)
            if registry is None and one.registry not in self.registries.broken:
                guess = nearest(one.registry, self.registries.declared)
                message = f"there is no Registry named {one.registry!r}"
                self._problem(message, "upstreams", number, "registry", guess=guess)
            elif registry is not None and not isinstance(registry.place, RemotePlace):
                message = f"{one.registry} is not remote: an upstream is a Registry with a url"
                self._problem(message, "upstreams", number, "registry")
        return tuple(_upstream(one) for one in keys)

    def _unique(self, values: Sequence[str], key: str, *path: str) -> None:
        """No two entries of a list have one value; empty is none."""
        for number, value in enumerate(values):
            if value and values.index(value) != number:
                message = f"{key} {value[:80]!r} stands twice; first in entry {values.index(value) + 1}"
                self._problem(message, *path, number, key)


def _upstream(keys: UpstreamKeys) -> Upstream:
    found = Upstream(
        keys.prefix,
        str(keys.registry),
        FirstPull(keys.first_pull),
        keys.host,
        verify=tuple(dict.fromkeys(map(str, keys.verify or ()))),
    )
    return replace(found, **_given(keys, {"max_age", "max_stale"}))


def _limits(keys: ServerLimitKeys | None) -> ServerLimits:
    if keys is None:
        return ServerLimits()
    return replace(ServerLimits(), **_given(keys, keys.model_fields_set))


def _given(keys: Keys, names: Set[str]) -> dict[str, Any]:
    """Those of `names` that the document has: the others keep their defaults."""
    return {name: value for name in names if (value := getattr(keys, name)) is not None}
