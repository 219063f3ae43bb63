"""TrustRoot documents to what they mean, with the bytes of the files that they name."""

from collections.abc import Sequence

from regsync.spec.materials import read_material, read_trust_store
from regsync.spec.problems import Problems
from regsync.spec.reading import Document
from regsync.spec.registries import refuse_repeated_names
from regsync.spec.trust_root_keys import NotationRootKeys, SigstoreRootKeys, TrustRootDocument
from regsync.spec.verification import PUBLIC_GOOD, Material, NotationRoot, SigstoreRoot, TrustRoot


def read_trust_roots(found: Sequence[Document], problems: Problems) -> dict[str, TrustRoot | None]:
    """Every TrustRoot by name; None for one whose document is broken, and nothing said of its name."""
    roots: dict[str, TrustRoot | None] = {}
    for document in refuse_repeated_names(found, problems):
        name = document.name or ""
        if name == PUBLIC_GOOD:
            spot = document.at("metadata", "name")
            message = f"{PUBLIC_GOOD} is built in; give another instance another name"
            problems.add(spot.position, spot.path, message)
        roots[name] = _root(document, name, problems)
    return roots


def _root(document: Document, name: str, problems: Problems) -> TrustRoot | None:
    if not isinstance(document.model, TrustRootDocument) or document.dropped:
        return None
    keys = document.model.spec
    before = len(problems.found)
    root = (
        _sigstore(document, keys.sigstore, problems)
        if keys.sigstore is not None
        else _notation(document, name, keys.notation, problems)
    )
    return TrustRoot(name, root, document.root.position) if len(problems.found) == before else None


def _sigstore(document: Document, keys: SigstoreRootKeys, problems: Problems) -> SigstoreRoot:
    file = None
    if keys.trusted_root is not None:
        spot = document.at("spec", "sigstore", "trustedRoot")
        file = read_material(document, keys.trusted_root, spot, problems)
    return SigstoreRoot(file, keys.tlog_threshold, keys.timestamp_threshold, keys.ctlog_threshold)


def _notation(
    document: Document, name: str, keys: NotationRootKeys | None, problems: Problems
) -> NotationRoot:
    assert keys is not None  # noqa: S101 - exactly one of the two forms is there
    if keys.trust_store is not None and keys.trust_policy is not None:
        stores = read_trust_store(
            document, keys.trust_store, document.at("spec", "notation", "trustStore"), problems
        )
        spot = document.at("spec", "notation", "trustPolicy")
        return NotationRoot(stores, read_material(document, keys.trust_policy, spot, problems))
    by_type = {"ca": keys.ca, "signingAuthority": keys.signing_authority, "tsa": keys.tsa}
    return NotationRoot(
        {
            f"{kind}:{name}": _files(document, kind, files, problems)
            for kind, files in by_type.items()
            if files
        }
    )


def _files(document: Document, kind: str, files: Sequence[str], problems: Problems) -> tuple[Material, ...]:
    read = [
        read_material(document, file, document.at("spec", "notation", kind, number), problems)
        for number, file in enumerate(files)
    ]
    return tuple(one for one in read if one is not None)
