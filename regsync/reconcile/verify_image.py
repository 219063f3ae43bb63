"""What policies say of one image, wherever it is: for `regsync verify`."""

from collections.abc import Callable, Sequence
from datetime import datetime

from regsync.content.evidence import Shelf
from regsync.content.manifests import Manifests
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.model import Location
from regsync.spec.verification import Skip, VerificationPolicy
from regsync.trust.envelopes import Image, Question
from regsync.trust.inquiry import Answer, Asked, inquire, subjects_of
from regsync.trust.judge import skipped
from regsync.trust.policy import CompiledPolicy


async def verify_image(
    shelf: Shelf,
    name: Tag | Digest,
    policies: Sequence[CompiledPolicy],
    *,
    image: Callable[[Digest], Image],
    elsewhere: Callable[[Location], Shelf],
    skip_of: Callable[[VerificationPolicy], Skip | None],
    now: datetime,
) -> tuple[Digest, tuple[Answer, ...]]:
    """The digest that `name` is, and what each policy says of it.

    `image` names it for expressions, `elsewhere` gives the policies' other repositories of evidence,
    `skip_of` says which of them pass it over.
    Raises ContentNotFoundError and what else resolving raises; a registry that fails afterwards is a
    part of the verdict.
    """
    desc = await shelf.store.resolve(name)
    question, manifests, sources = Question(image(desc.digest), now), Manifests(), (shelf.store,)
    top = await manifests.read(sources, desc) if desc.is_index else None
    answers: dict[str, Answer] = {}
    asked = []
    for policy in policies:
        if (skip := skip_of(policy.policy)) is not None:
            answers[policy.name] = Answer(skipped(policy, skip, question))
            continue
        subjects = await subjects_of(policy.policy.scope, desc, manifests, sources)
        others = tuple(elsewhere(location) for location in policy.policy.evidence)
        asked.append(Asked(policy, subjects, (shelf, *others)))
    found = await inquire(asked, question, manifests=manifests, top=top)
    answers |= {one.policy.name: answer for one, answer in zip(asked, found, strict=True)}
    return desc.digest, tuple(answers[policy.name] for policy in policies)
