"""VerificationPolicy documents to what they mean, with the files and names that they refer to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regsync.oci.reference import RepositoryName
from regsync.spec.authority_reading import AuthorityReader, roots_of
from regsync.spec.locations import read_templates
from regsync.spec.model import Location
from regsync.spec.nodes import Step
from regsync.spec.place_globs import is_plain_or_any, read_place_glob
from regsync.spec.problems import Problems
from regsync.spec.reading import Document
from regsync.spec.registries import Registries, refuse_repeated_names
from regsync.spec.requirement_reading import RequirementReader, outgrows
from regsync.spec.trust_root_reading import read_trust_roots
from regsync.spec.verification import Mode, Scope, Skip, TrustRoot, VerificationPolicy
from regsync.spec.verification_keys import PolicyDocument, PolicyKeys, SkipKeys


@dataclass(frozen=True, slots=True)
class Verification:
    """Policies and roots by name; None for one whose document is broken, so that its name is known."""

    policies: Mapping[str, VerificationPolicy | None]
    trust_roots: Mapping[str, TrustRoot | None]

    @property
    def whole_policies(self) -> dict[str, VerificationPolicy]:
        """Those policies that could be read."""
        return {name: one for name, one in sorted(self.policies.items()) if one is not None}

    @property
    def whole_roots(self) -> dict[str, TrustRoot]:
        """Those roots that could be read."""
        return {name: one for name, one in sorted(self.trust_roots.items()) if one is not None}


def read_verification(
    documents: Sequence[Document], registries: Registries, problems: Problems
) -> Verification:
    """Every TrustRoot and VerificationPolicy; a root that no policy uses is a problem."""
    roots = read_trust_roots([one for one in documents if one.kind == "TrustRoot"], problems)
    own = [one for one in documents if one.kind == "VerificationPolicy"]
    policies: dict[str, VerificationPolicy | None] = {}
    for document in refuse_repeated_names(own, problems):
        policies[document.name or ""] = _read(document, roots, registries, problems)
    _refuse_unused_roots(documents, own, problems)
    return Verification(policies, roots)


def _read(
    document: Document,
    roots: Mapping[str, TrustRoot | None],
    registries: Registries,
    problems: Problems,
) -> VerificationPolicy | None:
    if not isinstance(document.model, PolicyDocument):
        return None
    before = len(problems.found)
    policy = _Reader(document, document.model.spec, registries, problems).policy(roots)
    return policy if len(problems.found) == before and not document.dropped else None


def _refuse_unused_roots(
    documents: Sequence[Document], policies: Sequence[Document], problems: Problems
) -> None:
    if any(not isinstance(one.model, PolicyDocument) for one in policies):
        return  # what a broken policy uses is not known
    used = {
        name
        for one in policies
        if isinstance(one.model, PolicyDocument)
        for name in roots_of(one.model.spec.authorities)
    }
    for document in documents:
        if document.kind == "TrustRoot" and document.name is not None and document.name not in used:
            spot = document.at("metadata", "name")
            problems.add(spot.position, spot.path, f"no authority of any policy uses {document.name}")


@dataclass(frozen=True, slots=True)
class _Reader:
    """One document, being read."""

    document: Document
    keys: PolicyKeys
    registries: Registries
    problems: Problems

    def policy(self, roots: Mapping[str, TrustRoot | None]) -> VerificationPolicy | None:
        keys = self.keys
        too_large = outgrows(keys.require)
        if too_large is not None:
            self._problem(too_large, "require")
            return None
        reader = AuthorityReader(self.document, roots, self.problems)
        authorities = {str(name): reader.read(name, one) for name, one in keys.authorities.items()}
        requirements = RequirementReader(self.document, authorities, self.problems)
        require = requirements.read(keys.require, "require")
        # A name that is misspelt is one problem, not a second one of what it was to be.
        unused = authorities.keys() - requirements.used if requirements.used <= authorities.keys() else set()
        for name in unused:
            self._problem(f"no requirement uses the authority {name}", "authorities", name)
        return VerificationPolicy(
            name=self.document.name or "",
            authorities={name: one for name, one in authorities.items() if one is not None},
            require=require,
            images=self._globs(keys.images or (), "images"),
            targets=self._globs(keys.targets or (), "targets"),
            mode=Mode(keys.mode),
            scope=Scope(keys.scope),
            evidence=self._evidence(keys.evidence or ()),
            min_age=keys.min_age,
            max_evidence=keys.max_evidence,
            skip=tuple(self._skip(number, one) for number, one in enumerate(keys.skip or ())),
            position=self.document.root.position,
        )

    def _globs(self, globs: Sequence[str], *path: Step) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for number, glob in enumerate(globs):
            spot = self.document.at("spec", *path, number)
            found.update(dict.fromkeys(read_place_glob(glob, spot, self.registries, self.problems)))
        return tuple(found)

    def _skip(self, number: int, keys: SkipKeys) -> Skip:
        for index, glob in enumerate(keys.images):
            if not is_plain_or_any(glob):
                message = "name the registry, or `*` for every one: a name that is given to a registry later "
                message += "could bring it under this exception"
                self._problem(message, "skip", number, "images", index)
        return Skip(self._globs(keys.images, "skip", number, "images"), keys.reason, keys.until)

    def _evidence(self, texts: Sequence[str]) -> tuple[Location, ...]:
        found: dict[Location, None] = {}
        for number, text in enumerate(texts):
            spot = self.document.at("spec", "evidence", number)
            if "{" in text:
                self._problem(f"expected REGISTRY/REPOSITORY, found {text[:80]!r}", "evidence", number)
                continue
            for template in read_templates(text, spot, self.registries, self.problems, groups=False):
                found[Location(template.registry, RepositoryName(template.path))] = None
        return tuple(found)

    def _problem(self, message: str, *path: Step) -> None:
        spot = self.document.at("spec", *path)
        self.problems.add(spot.position, spot.path, message)
