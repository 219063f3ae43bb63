"""RetentionPolicy documents to what they mean."""

from collections.abc import Iterator, Sequence

from regsync.oci.reference import is_host
from regsync.spec.globs import is_glob
from regsync.spec.nodes import Spot
from regsync.spec.place_globs import read_place_glob
from regsync.spec.problems import Problems
from regsync.spec.pruning import RETENTION_LIMITS, DeletionLimits
from regsync.spec.pruning_keys import schedule
from regsync.spec.reading import Document
from regsync.spec.registries import Registries, absolute, refuse_repeated_names
from regsync.spec.retention import (
    InUse,
    InUseCluster,
    InUseFile,
    KeepRule,
    RepositoryGlob,
    RetentionPolicy,
    Unmatched,
)
from regsync.spec.retention_keys import KeepRuleKeys, RetentionDocument, RetentionKeys, selects
from regsync.spec.tag_rules import tag_rule


def read_retention(
    documents: Sequence[Document], registries: Registries, problems: Problems
) -> list[tuple[Document, RetentionPolicy]]:
    """Every whole RetentionPolicy beside its document, by name."""
    own = [one for one in documents if one.kind == "RetentionPolicy"]
    found = []
    for document in refuse_repeated_names(own, problems):
        if not isinstance(document.model, RetentionDocument):
            continue
        before = len(problems.found)
        policy = _policy(document, document.model, registries, problems)
        if len(problems.found) == before and not document.dropped:
            found.append((document, policy))
    return sorted(found, key=lambda one: one[1].name)


def _policy(
    document: Document, model: RetentionDocument, registries: Registries, problems: Problems
) -> RetentionPolicy:
    keys = model.spec
    return RetentionPolicy(
        name=model.metadata.name,
        repositories=tuple(dict.fromkeys(_repositories(document, keys, registries, problems))),
        keep=tuple(_rule(document, *one) for one in enumerate(keys.keep or ())),
        unmatched=Unmatched(keys.unmatched),
        protect=tuple(dict.fromkeys(keys.protect or ())),
        in_use=tuple(dict.fromkeys(_in_use(document, one) for one in keys.in_use or ())),
        untagged_keep_for=None if keys.untagged is None else keys.untagged.keep_for,
        limits=RETENTION_LIMITS
        if keys.limits is None
        else DeletionLimits(keys.limits.max_deletes, keys.limits.max_delete_percent),
        schedule=schedule(keys.schedule, keys.timezone),
        position=document.root.position,
    )


def _repositories(
    document: Document, keys: RetentionKeys, registries: Registries, problems: Problems
) -> Iterator[RepositoryGlob]:
    for number, text in enumerate(keys.repositories):
        spot = document.at("spec", "repositories", number)
        if _names_no_registry(text.partition("/")[0], registries, spot, problems):
            continue
        for glob in read_place_glob(text, spot, registries, problems):
            registry, _, path = glob.partition("/")
            yield RepositoryGlob(registry, path)


def _names_no_registry(first: str, registries: Registries, spot: Spot, problems: Problems) -> bool:
    """Whether the first part is a glob or a host, on which no deletion is to rest."""
    known = {*registries.declared, *registries.groups, *registries.broken}
    if first in known or not (is_glob(first) or is_host(first)):
        return False
    message = "expected the name of a Registry or RegistryGroup before the first slash: deletion needs one"
    problems.add(spot.position, spot.path, message)
    return True


def _rule(document: Document, number: int, keys: KeepRuleKeys | str) -> KeepRule:
    position = document.position("spec", "keep", number)
    if isinstance(keys, str):
        return KeepRule(tag_rule(keys, position), position=position)
    selector = tag_rule(keys, position) if selects(keys) else None
    return KeepRule(selector, keys.pushed_within, keys.pulled_within, position)


def _in_use(document: Document, text: str) -> InUse:
    kind, _, value = text.partition(":")
    return InUseFile(absolute(document, value)) if kind == "file" else InUseCluster(value)
