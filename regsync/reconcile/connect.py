"""What a run needs of the outside, so that it never learns what a place is made of."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from regsync.content.protocol import Store
from regsync.content.tags_state import TagsState
from regsync.oci.reference import RepositoryName
from regsync.spec.in_use import RunningImage
from regsync.spec.model import Location


class Places(Protocol):
    """Every registry, store and layout of a spec, opened when first asked for."""

    def connect(self, location: Location) -> Store:
        """The repository at `location`; the same object for the same location."""
        ...

    async def repositories(self, registry: str) -> Sequence[RepositoryName]:
        """The repositories that a registry lists; raises an error that names the ways out where it cannot."""
        ...

    async def may_push(self, location: Location) -> None:
        """Ask whether `location` may be written, without writing; raises what a push would meet."""
        ...

    def requests(self) -> Mapping[str, Mapping[str, int]]:
        """Requests made so far, by registry and kind."""
        ...

    def warnings(self) -> Sequence[str]:
        """What registries asked to be told to people (`Warning: 299`), each once."""
        ...


@runtime_checkable
class KnowsStates(Protocol):
    """Can say of some registries what all of their repositories hold, in very few requests."""

    async def states(
        self, registry: str, wanted: Collection[RepositoryName]
    ) -> Mapping[RepositoryName, TagsState] | None:
        """At least those of `wanted` that have tags and may be seen; None where there is no such answer."""
        ...


@runtime_checkable
class KnowsClusters(Protocol):
    """Can say what runs in a Kubernetes cluster."""

    async def running(self, context: str) -> Sequence[RunningImage]:
        """The images of all pods of the cluster that a context of the kubeconfig names.

        Raises an error that says why it is not known.
        """
        ...
