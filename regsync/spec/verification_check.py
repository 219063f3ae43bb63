"""Policies beside mirrors and upstreams: names that nobody has or uses, and mirrors that none could pass."""

from collections.abc import Iterator, Mapping, Sequence

from regsync.spec.applying import names_of
from regsync.spec.documents import MirrorDefaultsDocument, MirrorDocument
from regsync.spec.mirrors import Merged
from regsync.spec.model import IndexForm, Mirror, ReferrersMode, Registry
from regsync.spec.nodes import Spot
from regsync.spec.place_globs import may_meet
from regsync.spec.problems import Problems, nearest
from regsync.spec.project_keys import ProjectDocument
from regsync.spec.reaching import reach
from regsync.spec.reading import Document
from regsync.spec.server_keys import ServerDocument
from regsync.spec.verification import Scope, VerificationPolicy
from regsync.spec.verification_reading import Verification


def check_names(documents: Sequence[Document], verification: Verification, problems: Problems) -> None:
    """Every name under `verify` is a policy's, and every policy applies somewhere.

    Where there is no mirror and no upstream, policies are for `regsync verify` and need no other use.
    """
    named: set[str] = set()
    for name, spot in _named(documents):
        named.add(name)
        if name not in verification.policies:
            guess = nearest(name, verification.policies)
            message = f"there is no VerificationPolicy named {name!r}"
            problems.add(spot.position, spot.path, message, guess)
    if not _all_are_known(documents):
        return
    for document in documents:
        policy = verification.policies.get(document.name or "")
        if document.kind != "VerificationPolicy" or policy is None or policy.name in named:
            continue
        if not policy.images and not policy.targets:
            spot = document.at("metadata", "name")
            message = (
                f"nothing uses the policy {policy.name}: name it under verify, or give it images or targets"
            )
            problems.add(spot.position, spot.path, message)


def _named(documents: Sequence[Document]) -> Iterator[tuple[str, Spot]]:
    for document in documents:
        match document.model:
            case MirrorDocument() | MirrorDefaultsDocument() | ProjectDocument():
                for number, name in enumerate(document.model.spec.verify or ()):
                    yield name, document.at("spec", "verify", number)
            case ServerDocument():
                for upstream, keys in enumerate(document.model.spec.upstreams or ()):
                    for number, name in enumerate(keys.verify or ()):
                        yield name, document.at("spec", "upstreams", upstream, "verify", number)


def _all_are_known(documents: Sequence[Document]) -> bool:
    """Whether what could use a policy is there and can be read."""
    users = [one for one in documents if one.kind in ("Mirror", "MirrorDefaults", "Server")]
    broken = any(one.model is None or one.dropped & {"verify", "upstreams"} for one in users)
    return not broken and any(
        isinstance(one.model, MirrorDocument)
        or (isinstance(one.model, ServerDocument) and bool(one.model.spec.upstreams))
        for one in users
    )


def check_mirror(
    merged: Merged,
    mirror: Mirror,
    policies: Mapping[str, VerificationPolicy],
    registries: Mapping[str, Registry],
    problems: Problems,
) -> None:
    """Refuse a mirror that could let no image pass: without its evidence, or with a digest nobody signed."""
    without_evidence = mirror.referrers.mode is ReferrersMode.NONE
    trimmed = mirror.platforms is not None and mirror.index is IndexForm.TRIMMED
    if not policies or not (without_evidence or trimmed):
        return
    for policy in _applying(mirror, policies, registries):
        if without_evidence:
            spot = merged.at("referrers")
            message = (
                f"the policy {policy.name} needs evidence at the target too, and none leaves it behind: "
                "leave the key out, or list the types of evidence"
            )
            problems.add(spot.position, spot.path, message)
        if trimmed and policy.scope is not Scope.PLATFORMS:
            spot = merged.at("platforms")
            message = (
                f"a list makes an index with a digest that nobody has signed, and the policy {policy.name} "
                f"has scope: {policy.scope.value}; give the policy scope: platforms, or write "
                "{include: […], index: original}, or copy all platforms"
            )
            problems.add(spot.position, spot.path, message)


def _applying(
    mirror: Mirror, policies: Mapping[str, VerificationPolicy], registries: Mapping[str, Registry]
) -> Iterator[VerificationPolicy]:
    """Policies that a mirror names, and those that apply, or may, to what it copies."""
    sources, targets = reach(mirror)
    here = [name for one in sources for name in names_of(one, registries)]
    there = [name for one in targets for name in names_of(one, registries)]
    for name, policy in policies.items():
        if name in mirror.verify or _may_meet(policy.images, here) or _may_meet(policy.targets, there):
            yield policy


def _may_meet(globs: Sequence[str], names: Sequence[str]) -> bool:
    return any(may_meet(glob, name) for glob in globs for name in names)
