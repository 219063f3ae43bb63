"""SLSA provenance, 0.2 and 1: builder, source repository, ref and build type.

Sources: slsa.dev/spec, provenance v0.2 and v1; the build types of GitHub (actions.github.io/buildtypes),
slsa-github-generator and Google Cloud Build. A reusable workflow stands in the builder and in the
certificate's subject, the repository it was called from in `sourceRepository`. Where the certificate names
the source too, both have to agree: who issued the certificate asked GitHub, the predicate says what the
workflow wrote into it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from regsync.spec.verification import SlsaCondition, TextMatch
from regsync.trust.envelopes import Signer

_V1, _V02 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"


@dataclass(frozen=True, slots=True)
class _Source:
    repository: str | None
    ref: str | None


@dataclass(frozen=True, slots=True)
class _Provenance:
    builder: str | None
    build_type: str | None
    source: _Source


def unmet_by_provenance(
    condition: SlsaCondition, predicate_type: str | None, predicate: Mapping[str, object], signer: Signer
) -> str | None:
    """Why provenance does not say what is asked of it; None where it does."""
    if predicate_type is not None and predicate_type.startswith(_V02):
        found = _version_02(predicate)
    elif predicate_type is not None and predicate_type.startswith(_V1):
        found = _version_1(predicate)
    else:
        return f"{predicate_type} is no SLSA provenance of version 0.2 or 1"
    certificate = _certificate(signer)
    return next(
        (
            f"{name} is {said:.300}, not {wanted}" if said else f"it does not say {name}"
            for name, said, wanted, holds in _asked(condition, found, certificate)
            if not holds
        ),
        None,
    )


def _asked(
    condition: SlsaCondition, found: _Provenance, certificate: _Source
) -> Iterator[tuple[str, str | None, str, bool]]:
    """Each thing that is asked: its name, what was found, what was wanted, whether that is it."""
    source = found.source
    if (builder := condition.builder) is not None:
        yield "the builder", found.builder, _shown(builder), _matches(builder, found.builder)
    if (kind := condition.build_type) is not None:
        yield "the build type", found.build_type, kind, found.build_type == kind
    if (repository := condition.source_repository) is not None:
        wanted = _plain(repository)
        yield "the source repository", source.repository, repository, _plain(source.repository) == wanted
        if certificate.repository is not None:
            same = _plain(certificate.repository) == wanted
            yield "the certificate's source repository", certificate.repository, repository, same
    if (ref := condition.source_ref) is not None:
        yield "the source ref", source.ref, _shown(ref), _matches(ref, source.ref)
        if certificate.ref is not None:
            yield "the certificate's source ref", certificate.ref, _shown(ref), _matches(ref, certificate.ref)


def _version_1(predicate: Mapping[str, object]) -> _Provenance:
    definition = _at(predicate, "buildDefinition")
    parameters = _at(definition, "externalParameters")
    return _Provenance(
        _text(predicate, "runDetails", "builder", "id"),
        _text(definition, "buildType"),
        next(_sources_1(parameters, definition), _Source(None, None)),
    )


def _sources_1(parameters: object, definition: object) -> Iterator[_Source]:
    """Where the build types that are common put the source; what was resolved only where it is one."""
    for key in ("workflow", "buildConfigSource", "sourceToBuild"):  # GitHub, Google Cloud Build
        if repository := _text(parameters, key, "repository"):
            yield _Source(_split(repository).repository, _text(parameters, key, "ref"))
    for place in (("source", "uri"), ("source",)):  # slsa-github-generator's builders
        if uri := _text(parameters, *place):
            yield _split(uri)
    resolved = _at(definition, "resolvedDependencies")
    uris = [uri for one in resolved if (uri := _text(one, "uri"))] if isinstance(resolved, list) else []
    repositories = {uri for uri in uris if uri.startswith("git+")}
    if len(repositories) == 1:
        yield _split(repositories.pop())


def _version_02(predicate: Mapping[str, object]) -> _Provenance:
    uri = _text(predicate, "invocation", "configSource", "uri")
    return _Provenance(
        _text(predicate, "builder", "id"),
        _text(predicate, "buildType"),
        _split(uri) if uri else _Source(None, None),
    )


def _certificate(signer: Signer) -> _Source:
    named = signer.extensions
    return _Source(named.get("sourceRepositoryURI"), named.get("sourceRepositoryRef"))


def _split(uri: str) -> _Source:
    """`git+https://github.com/acme/app@refs/tags/v1`, as SPDX download locations are written."""
    scheme, _, rest = uri.partition("://")
    host, _, rest = rest.partition("/")  # which may have a user before its own `@`
    path, _, ref = rest.partition("@")
    return _Source(f"{scheme}://{host}/{path}" if path else uri, ref or None)


def _plain(repository: str | None) -> str | None:
    """A repository's address without what may be written or left out."""
    if repository is None:
        return None
    address = repository.removeprefix("git+").removeprefix("https://").rstrip("/").removesuffix(".git")
    host, slash, path = address.partition("/")
    return host.lower() + slash + path


def _matches(wanted: TextMatch, found: str | None) -> bool:
    return found is not None and wanted.matches(found)


def _shown(wanted: TextMatch) -> str:
    return str(wanted.exact) if wanted.regex is None else f"/{wanted.regex}/"


def _at(value: object, *path: str) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _text(value: object, *path: str) -> str | None:
    found = _at(value, *path)
    return found if isinstance(found, str) and found else None
