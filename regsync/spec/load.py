"""Paths to a spec: find, read, check, resolve; every problem of a run is shown, not the first."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regsync.spec.canonical import spec_digest
from regsync.spec.check import check
from regsync.spec.files import default_paths, find_files, root_of
from regsync.spec.lock_reading import read_locks
from regsync.spec.mirrors import Merged, merge_all, resolve
from regsync.spec.model import Mirror, Spec
from regsync.spec.nodes import Entries, Items
from regsync.spec.problems import InvalidSpecError, NoSpecError, Problems, SpecProblem
from regsync.spec.reading import Document, check_nothing_is_left_out, read
from regsync.spec.registries import Registries, read_registries
from regsync.spec.settings_reading import read_settings

if TYPE_CHECKING:
    from regsync.spec.projects import Project
    from regsync.spec.retention import RetentionPolicy
    from regsync.spec.server import Server
    from regsync.spec.verification import TrustRoot, VerificationPolicy

__all__ = ["InvalidSpecError", "NoSpecError", "SpecProblem", "load"]
_OF_VERIFICATION = ("VerificationPolicy", "TrustRoot")


def load(paths: Sequence[Path] = (), *, directory: Path | None = None, lock: Path | None = None) -> Spec:
    """Read the spec that `paths` hold; without any, `regsync.yaml` or `regsync/` of `directory`.

    `directory` is the current one by default, `lock` a lock file instead of those beside the mirrors.
    Raises InvalidSpecError with every problem that was found, or NoSpecError where there is nothing to read.
    """
    chosen = tuple(paths) or default_paths(directory if directory is not None else Path())
    files = find_files(chosen)
    root = root_of(chosen)
    problems = Problems()
    documents = read(files, problems)
    check_nothing_is_left_out(files, problems)
    settings = read_settings(documents, root, problems)
    registries = read_registries(documents, problems)
    server = _server(documents, registries, problems)
    resolved = [
        (merged, mirror)
        for merged in merge_all(documents, problems)
        if (mirror := resolve(merged, registries, problems)) is not None
    ]
    retention = _retention(documents, registries, problems)
    projects = _projects(documents, registries, problems)
    if projects:
        resolved, retention = _held(projects, documents, resolved, retention, problems)
    mirrors = tuple(sorted((mirror for _, mirror in resolved), key=lambda mirror: mirror.name))
    policies, trust_roots = _verification(documents, registries, resolved, problems)
    known = [mirror for mirror in mirrors if not _speaks_of(mirror, registries.broken)]
    check(known, registries.by_name, problems, server)
    _check_retention(retention, known, registries, problems)
    if not documents and not problems.found:
        raise NoSpecError(str(chosen[0]), "there is no document of regsync in it")
    locks = read_locks(mirrors, lock, problems)
    problems.raise_any()
    named: dict[str, Sequence[object]] = {
        "policies": tuple(policies.values()),
        "trustRoots": tuple(trust_roots.values()),
        "retention": tuple(policy for _, policy in retention),
        "projects": projects,
    }
    return Spec(
        registries=registries.by_name,
        mirrors=mirrors,
        declared=mirrors,
        settings=settings,
        server=server,
        policies=policies,
        trust_roots=trust_roots,
        retention=tuple(policy for _, policy in retention),
        projects=projects,
        digest=spec_digest(registries.by_name, mirrors, settings, root, named, locks),
        lock=locks,
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


def _retention(
    documents: Sequence[Document], registries: Registries, problems: Problems
) -> "list[tuple[Document, RetentionPolicy]]":
    if not any(one.kind == "RetentionPolicy" for one in documents):
        return []
    from regsync.spec.retention_reading import read_retention

    return read_retention(documents, registries, problems)


def _check_retention(
    retention: "Sequence[tuple[Document, RetentionPolicy]]",
    mirrors: Sequence[Mirror],
    registries: Registries,
    problems: Problems,
) -> None:
    if retention:
        from regsync.spec.retention_check import check_retention

        known = registries.by_name
        whole = [one for one in retention if all(glob.registry in known for glob in one[1].repositories)]
        check_retention(whole, mirrors, known, problems)


def _projects(
    documents: Sequence[Document], registries: Registries, problems: Problems
) -> "tuple[Project, ...]":
    if not any(one.kind == "Project" for one in documents):
        return ()
    from regsync.spec.project_reading import read_projects

    return read_projects(documents, registries, problems)


def _held(
    projects: "tuple[Project, ...]",
    documents: Sequence[Document],
    resolved: list[tuple[Merged, Mirror]],
    retention: "list[tuple[Document, RetentionPolicy]]",
    problems: Problems,
) -> "tuple[list[tuple[Merged, Mirror]], list[tuple[Document, RetentionPolicy]]]":
    """Mirrors and retention with what their Projects add; what they may not do goes to `problems`."""
    from regsync.spec.project_check import hold_mirrors, hold_retention
    from regsync.spec.project_files import Ownership, check_files

    ownership = Ownership(projects)
    check_files(documents, ownership, problems)
    return hold_mirrors(resolved, ownership, problems), hold_retention(retention, ownership, problems)


def _server(documents: Sequence[Document], registries: Registries, problems: Problems) -> "Server | None":
    own = [document for document in documents if document.kind == "Server"]
    if not own:
        return None
    from regsync.spec.server_reading import read_server

    return read_server(own, registries, problems)
