"""Keys of `Registry` and `RegistryGroup`."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from regsync.spec import fields
from regsync.spec.keys import Keys

PROVIDERS = (
    "auto", "generic", "dockerhub", "ghcr", "ecr", "ecr-public", "gar", "acr", "quay", "harbor", "gitlab",
    "artifactory", "zot", "regsync",
)  # fmt: skip


def _no_plain_secret(value: Any) -> Any:
    if not isinstance(value, dict):
        # The value is not repeated: it may be the secret.
        raise ValueError("secrets are never written in a spec: expected {env: NAME} or {file: PATH}")
    return value


class SecretSource(Keys):
    """Where a secret is: exactly one of `env` and `file`."""

    env: fields.EnvName | None = Field(None, description="The name of an environment variable.")
    file: fields.Word | None = Field(None, description="A file; one newline at its end is not part of it.")

    @model_validator(mode="after")
    def _one(self) -> "SecretSource":
        return self.exactly_one("env", "file")


Secret = Annotated[SecretSource, BeforeValidator(_no_plain_secret)]


class AuthKeys(Keys):
    """Credentials of a registry, and who else may see them."""

    username: Secret | None = Field(None, description="The user name, as {env: NAME} or {file: PATH}.")
    password: Secret | None = Field(
        None,
        description="The password or token, as {env: NAME} or {file: PATH}. Without both: the container "
        "tools' own files and helpers.",
    )
    realms: list[fields.Host] = Field(
        [],
        description="Hosts of token servers outside the registry's own domain, such as a Keycloak: these too "
        "get the credentials, and may be at private addresses.",
    )

    @model_validator(mode="after")
    def _some(self) -> "AuthKeys":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are given together")
        if self.username is None and not self.realms:
            raise ValueError("expected username and password, or realms")
        return self


class TlsKeys(Keys):
    """Files in PEM form, relative to the file that names them."""

    ca: fields.Word | None = Field(None, description="Certificates trusted besides those of the system.")
    cert: fields.Word | None = Field(None, description="The client's certificate.")
    key: fields.Word | None = Field(None, description="The key of `cert`.")

    @model_validator(mode="after")
    def _pair(self) -> "TlsKeys":
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key are given together")
        return self


class LimitKeys(Keys):
    """What a registry is asked for at most. Registries of one host share these limits.

    Each process keeps to them by itself. Over one ledger only one run writes at a time, so mirroring stays
    within them; a plan made meanwhile, or a run over another ledger, comes on top. How much of a quota is
    left the registry says in its answers, whoever used it, so `reserve` holds for all processes together.
    """

    concurrency: Annotated[fields.Integer, *fields.between("integer", 1, 1024)] | None = Field(
        None, description="Requests under way at a time, in one process."
    )
    requests_per_second: Annotated[fields.Number, *fields.between("number", 0.01, 100_000)] | None = Field(
        None, description="Requests per second, in one process."
    )
    bytes_per_second: Annotated[fields.Size, Field(ge=1024)] | None = Field(
        None, description="Bandwidth, such as 50MiB, of both directions together, in one process."
    )
    reserve: Annotated[fields.Integer, *fields.between("integer", 0, 100)] | None = Field(
        None, description="Percent of a quota, such as Docker Hub's, that is left to people."
    )
    max_wait: fields.Duration | None = Field(
        None, description="How long a request may be put off for a quota before it is deferred (5m)."
    )


class RegistryKeys(Keys):
    """A place: exactly one of `url`, `store` and `layout`."""

    url: fields.Word | None = Field(
        None,
        description="A remote registry. A bare host means https; plain HTTP only when written http://.",
        examples=["docker.io", "http://127.0.0.1:5000"],
    )
    store: fields.Word | None = Field(None, description="The directory of a built-in store.")
    layout: fields.Word | None = Field(
        None, description="A directory in which each repository is a sub-directory with an OCI image layout."
    )
    provider: Annotated[
        str, fields.choice(*PROVIDERS), Field(json_schema_extra={"enum": list(PROVIDERS)})
    ] = Field("auto", description="Whose registry it is; `auto` recognises it by its host and answers.")
    auth: AuthKeys | None = Field(
        None,
        description="Credentials. Without them: the container tools' own files and helpers.",
    )
    tls: TlsKeys | None = Field(None, description="Own certificate authority, client certificate.")
    limits: LimitKeys | None = Field(None, description="What the registry is asked for at most.")

    @model_validator(mode="after")
    def _one_place(self) -> "RegistryKeys":
        self.exactly_one("url", "store", "layout")
        remote_only = [name for name in ("auth", "tls", "limits") if getattr(self, name) is not None]
        if self.url is None and remote_only:
            raise ValueError(f"{remote_only[0]} is for remote registries, which have a url")
        return self


class GroupKeys(Keys):
    """Several registries under one name, for targets."""

    registries: Annotated[list[fields.RegistryName], Field(min_length=1)] = Field(
        description="Names of registries."
    )
