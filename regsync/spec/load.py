"""Paths to a spec: find, read, check, resolve; every problem of a run is shown, not the first."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regsync.spec.canonical import spec_digest
from regsync.spec.check import check
from regsync.spec.documents import SettingsDocument
from regsync.spec.files import default_paths, find_files, root_of
from regsync.spec.mirrors import Merged, merge_all, resolve
from regsync.spec.model import DEFAULT_CONCURRENCY, DEFAULT_STATE, Mirror, Settings, Spec
from regsync.spec.nodes import Entries, Items
from regsync.spec.problems import InvalidSpecError, NoSpecError, Problems, SpecProblem
from regsync.spec.reading import Document, check_nothing_is_left_out, read
from regsync.spec.registries import Registries, absolute, read_registries

if TYPE_CHECKING:
    from regsync.spec.server import Server
    from regsync.spec.verification import TrustRoot, VerificationPolicy

__all__ = ["InvalidSpecError", "NoSpecError", "SpecProblem", "load"]
_OF_VERIFICATION = ("VerificationPolicy", "TrustRoot")


def load(paths: Sequence[Path] = (), *, directory: Path | None = None) -> Spec:
    """Read the spec that `paths` hold; without any, `regsync.yaml` or `regsync/` of `directory`.

    `directory` is the current one by default. Raises InvalidSpecError with every problem that was
    found, or NoSpecError where there is nothing to read.
    """
    chosen = tuple(paths) or default_paths(directory if directory is not None else Path())
    files = find_files(chosen)
    root = root_of(chosen)
    problems = Problems()
    documents = read(files, problems)
    check_nothing_is_left_out(files, problems)
    settings = _settings(documents, root, problems)
    registries = read_registries(documents, problems)
    server = _server(documents, registries, problems)
    resolved = [
        (merged, mirror)
        for merged in merge_all(documents, problems)
        if (mirror := resolve(merged, registries, problems)) is not None
    ]
    mirrors = tuple(sorted((mirror for _, mirror in resolved), key=lambda mirror: mirror.name))
    policies, trust_roots = _verification(documents, registries, resolved, problems)
    known = [mirror for mirror in mirrors if not _speaks_of(mirror, registries.broken)]
    check(known, registries.by_name, problems, server)
    if not documents and not problems.found:
        raise NoSpecError(str(chosen[0]), "there is no document of regsync in it")
    problems.raise_any()
    return Spec(
        registries=registries.by_name,
        mirrors=mirrors,
        settings=settings,
        server=server,
        policies=policies,
        trust_roots=trust_roots,
        digest=spec_digest(registries.by_name, mirrors, settings, root, policies, trust_roots),
        root=root,
        files=tuple(file.path for file in files),
    )


def _speaks_of(mirror: Mirror, names: set[str]) -> bool:
    """Whether a mirror uses a registry whose document is broken, so that checks would say nothing."""
    used = {template.registry for template in (*mirror.sources, *mirror.targets)}
    return not names.isdisjoint(used | {location.registry for location, _ in mirror.images})


def _verification(
    documents: Sequence[Document],
    registries: Registries,
    resolved: Sequence[tuple[Merged, Mirror]],
    problems: Problems,
) -> "tuple[dict[str, VerificationPolicy], dict[str, TrustRoot]]":
    """Policies and roots by name, checked beside all that names them or falls under them."""
    if not any(one.kind in _OF_VERIFICATION or _asks(one) for one in documents):
        return {}, {}
    from regsync.spec.verification_check import check_mirror, check_names
    from regsync.spec.verification_reading import read_verification

    found = read_verification(documents, registries, problems)
    check_names(documents, found, problems)
    for merged, mirror in resolved:
        if not _speaks_of(mirror, registries.broken):
            check_mirror(merged, mirror, found.whole_policies, registries.by_name, problems)
    return found.whole_policies, found.whole_roots


def _asks(document: Document) -> bool:
    """Whether a mirror, its defaults or an upstream names policies."""
    spec = document.root.entries.get("spec")
    if not isinstance(spec, Entries):
        return False
    upstreams = spec.entries.get("upstreams")
    below = upstreams.items if isinstance(upstreams, Items) else []
    return any(isinstance(one, Entries) and "verify" in one.entries for one in (spec, *below))


def _server(documents: Sequence[Document], registries: Registries, problems: Problems) -> "Server | None":
    own = [document for document in documents if document.kind == "Server"]
    if not own:
        return None
    from regsync.spec.server_reading import read_server

    return read_server(own, registries, problems)


def _settings(documents: Sequence[Document], root: Path, problems: Problems) -> Settings:
    found = [document for document in documents if document.kind == "Settings"]
    for document in found[1:]:
        message = f"there is at most one Settings; the first is at {found[0].root.position}"
        problems.add(document.root.position, "", message)
    if not found or not isinstance(found[0].model, SettingsDocument):
        return Settings(root / DEFAULT_STATE)
    keys = found[0].model.spec
    state = root / DEFAULT_STATE if keys.state is None else absolute(found[0], keys.state)
    return Settings(state, DEFAULT_CONCURRENCY if keys.concurrency is None else keys.concurrency)
