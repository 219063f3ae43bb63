"""`Server` documents and their keys."""

import re
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from regsync.spec import fields, scalars
from regsync.spec.documents import Envelope, OptionalMetadata
from regsync.spec.fields import one_of
from regsync.spec.keys import Keys
from regsync.spec.server import ACTIONS, DEFAULT_LISTEN

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PLAIN_NAME = re.compile(r"[^\s:=]{1,128}")


def is_safe_url(text: str) -> bool:
    """Whether keys may be fetched from there: https, or http on this host."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _jwks(value: object) -> str:
    text = scalars.text(value)
    if "://" in text and not is_safe_url(text):
        raise ValueError(
            "expected a file, or a URL with https (http on this host alone), without credentials"
        )
    return text


def _host_name(value: object) -> str:
    text = scalars.text(value).lower()
    if _HOST_NAME.fullmatch(text) is None:
        raise ValueError(f"expected the name of a host, without a port, found {text[:80]!r}")
    return text


def _plain_name(value: object) -> str:
    text = scalars.text(value)
    if _PLAIN_NAME.fullmatch(text) is None:
        raise ValueError(f"expected a name without spaces, ':' and '=', found {text[:80]!r}")
    return text


def name_of_issuer(issuer: str) -> str:
    """What an issuer is called that the spec gives no name: its host, or all of it where it has none."""
    try:
        return urlsplit(issuer).hostname or issuer
    except ValueError:
        return issuer


def _at_least(least: timedelta, written: str) -> AfterValidator:
    def check(value: timedelta) -> timedelta:
        if value < least:
            raise ValueError(f"expected {written} at least")
        return value

    return AfterValidator(check)


PlainName = Annotated[str, BeforeValidator(_plain_name), fields.schema("string")]
Patience = Annotated[fields.Duration, _at_least(timedelta(seconds=1), "1s")]
Actions = Annotated[str, fields.choice(*ACTIONS), Field(json_schema_extra={"enum": list(ACTIONS)})]
FirstPullWord = Annotated[
    str,
    fields.choice("authenticated", "anyone"),
    Field(json_schema_extra={"enum": ["authenticated", "anyone"]}),
]
Globs = Annotated[list[fields.Glob], Field(min_length=1)]
Texts = Annotated[list[fields.Word], Field(min_length=1)]


class ServerTlsKeys(Keys):
    """The server's certificate: files in PEM form, relative to the file that names them."""

    cert: fields.Word = Field(description="The certificate, and those between it and its authority.")
    key: fields.Word = Field(description="Its key, not encrypted.")


class ServerStorageKeys(Keys):
    """Where content is kept."""

    store: fields.Word = Field(
        description="The directory of a built-in store, on a local file system. "
        "A Registry with the same `store` lets mirrors write into it."
    )


class JwtKeys(Keys):
    """An issuer of JSON Web Tokens (OpenID Connect) whose tokens are logins."""

    name: PlainName | None = Field(
        None,
        description="What stands before its users and groups in `access`: `user:NAME:USER`, "
        "`group:NAME:GROUP`. Without it the issuer's host.",
    )
    issuer: fields.Word = Field(
        description="The issuer, letter by letter as its tokens' `iss` has it.",
        examples=["https://token.actions.githubusercontent.com"],
    )
    audience: Annotated[
        Annotated[fields.Word, fields.Text] | Annotated[Texts, fields.List],
        one_of("an audience, or a list of them"),
    ] = Field(description="What tokens' `aud` has to hold: this registry. Of a list, one.")
    jwks: Annotated[str, BeforeValidator(_jwks), fields.schema("string")] | None = Field(
        None,
        description="Its public keys: a URL (https, or http on this host) or a file. "
        "Without it, where the issuer's OpenID discovery says.",
    )
    ca: fields.Word | None = Field(
        None, description="Certificates trusted besides those of the system when keys are fetched."
    )
    username: fields.Word = Field("sub", description="The claim that names the user.")
    groups: fields.Word = Field("groups", description="The claim that lists groups; it may be absent.")
    require: dict[fields.Word, fields.Glob] | None = Field(
        None,
        description="Claims that a token must have, with globs that their values must match; "
        "without them it is no login. For an issuer that serves everybody, such as GitHub's.",
    )

    @model_validator(mode="after")
    def _findable(self) -> "JwtKeys":
        if self.jwks is None and not is_safe_url(self.issuer):
            raise ValueError("an issuer that is no https URL has no discovery: jwks has to say its keys")
        if self.name is None and _PLAIN_NAME.fullmatch(name_of_issuer(self.issuer)) is None:
            raise ValueError(
                "give it a name: its users are NAME:USER, and what it is called has spaces, ':' or '='"
            )
        if self.ca is not None and self.jwks is not None and "://" not in self.jwks:
            raise ValueError("ca has no effect on keys that are in a file")
        return self


class ServerAuthKeys(Keys):
    """How people and machines log in."""

    htpasswd: fields.Word | None = Field(
        None,
        description="Users and bcrypt hashes in a file, as `htpasswd -B` writes it; read again when changed.",
    )
    groups: dict[PlainName, Texts] | None = Field(
        None, description="Groups of users, for `group:NAME` in `access`."
    )
    jwt: Annotated[list[JwtKeys], Field(min_length=1)] | None = Field(
        None,
        description="Issuers whose tokens are logins: as a bearer token, or as the password of any user.",
    )

    @model_validator(mode="after")
    def _some(self) -> "ServerAuthKeys":
        if self.htpasswd is None and self.jwt is None:
            raise ValueError("expected htpasswd, jwt, or both")
        return self


class AccessKeys(Keys):
    """Who may do what where. Rules add up; what none allows is denied."""

    subjects: Texts = Field(
        description="`anonymous` (anybody), `*` (whoever logged in), `user:NAME`, `group:NAME`, "
        "`claim:KEY=GLOB`; with several issuers `claim:ISSUER:KEY=GLOB`."
    )
    repositories: Globs = Field(description="Globs of repositories; `**` crosses slashes.")
    actions: Annotated[list[Actions], Field(min_length=1)] = Field(
        description="`pull`; `push` creates tags, `overwrite` moves them; `delete`; `admin` is all of them."
    )


class ImmutableKeys(Keys):
    """Tags that nobody moves or deletes, whatever else may be allowed."""

    repositories: Globs = Field(description="Globs of repositories; `**` crosses slashes.")
    tags: Globs = Field(description="Globs of tags.")


class UpstreamKeys(Keys):
    """Repositories that are fetched from elsewhere when they are first pulled."""

    prefix: fields.RepositoryField = Field(
        description="What stands before the upstream's repositories here: "
        "with `hub`, library/nginx is hub/library/nginx."
    )
    registry: fields.RegistryName = Field(description="The name of a Registry with a `url`.")
    first_pull: FirstPullWord = Field(
        "authenticated",
        description="Who makes the server fetch what is not there: who logged in, or anyone who may pull it.",
    )
    host: Annotated[str, BeforeValidator(_host_name), fields.schema("string")] | None = Field(
        None,
        description="A host name of this server under which the prefix need not be written, for "
        "container engines whose mirrors are bare hosts.",
    )
    max_age: fields.Duration | None = Field(
        None, description="For which a tag is taken to be where the upstream last said (60s)."
    )
    max_stale: fields.Duration | None = Field(
        None,
        description="For which what is there is served while the upstream cannot be asked, from the last "
        "time that it could (7d).",
    )
    verify: list[fields.MirrorName] | None = Field(
        None,
        description="Names of policies that images have to meet before the first byte of them is served, "
        "besides those that apply by their own globs.",
    )


class ServerLimitKeys(Keys):
    """What one client may take of the server."""

    header_timeout: Patience | None = Field(None, description="For the head of a request to come (10s).")
    header_size: Annotated[fields.Size, Field(ge=8192, le=1024 * 1024)] | None = Field(
        None, description="Of a request's head (64KiB)."
    )
    body_timeout: Patience | None = Field(
        None, description="In which 16KiB of a request's body have to come (60s)."
    )
    body_size: Annotated[fields.Size, Field(ge=1024 * 1024)] | None = Field(
        None, description="Of one request's body, such as a blob. Without it, what there is room for."
    )
    connections: Annotated[fields.Integer, *fields.between("integer", 16, 1_000_000)] | None = Field(
        None, description="Open at a time (4096)."
    )


class AuditKeys(Keys):
    """The record of changes and denials."""

    file: fields.Word = Field(description="A file that lines of JSON are appended to.")


class GcKeys(Keys):
    """When what nothing leads to is deleted."""

    interval: Annotated[fields.Duration, _at_least(timedelta(minutes=1), "1m")] = Field(
        description="From the end of one collection to the next, such as 1h; at least 1m."
    )


class ServerKeys(Keys):
    """How `regsync serve` listens, who may do what, and where it stores."""

    listen: fields.Word = Field(
        DEFAULT_LISTEN,
        description="An address of this host and a port.",
        examples=["0.0.0.0:5000", "[::]:5000"],
    )
    tls: ServerTlsKeys | None = Field(None, description="Serve HTTPS with these. Without it plain HTTP.")
    storage: ServerStorageKeys | None = Field(
        None, description="Where content is kept. Without it `--store` has to say it."
    )
    auth: ServerAuthKeys | None = Field(None, description="How people and machines log in.")
    access: Annotated[list[AccessKeys], Field(min_length=1)] | None = Field(
        None,
        description="Who may do what; what no rule allows is denied. "
        "Without it (and without auth) whoever is on this host may pull.",
    )
    immutable: Annotated[list[ImmutableKeys], Field(min_length=1)] | None = Field(
        None, description="Tags that nobody moves or deletes."
    )
    read_only: fields.Boolean = Field(default=False, description="Serve pulls alone.")
    limits: ServerLimitKeys | None = Field(None, description="What one client may take of the server.")
    audit: AuditKeys | None = Field(None, description="The record of changes and denials.")
    upstreams: Annotated[list[UpstreamKeys], Field(min_length=1)] | None = Field(
        None, description="Repositories that are fetched from elsewhere when they are first pulled."
    )
    gc: GcKeys | None = Field(
        None, description="When what nothing leads to is deleted. Without it only `regsync store gc` does."
    )


class ServerDocument(Envelope):
    """How `regsync serve` listens, who may do what, and where it stores; at most one."""

    kind: Literal["Server"]
    metadata: OptionalMetadata | None = Field(None, description="Name and labels.")
    spec: ServerKeys = Field(description="All of it.")
