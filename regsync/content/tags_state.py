"""A repository in a few digests: where they are the same in two places, so is all that tags lead to.

Source: docs/server.md, "Comparing registries".
"""

from dataclasses import dataclass

from regsync.oci.digest import Digest

FEW_REPOSITORIES = 8  # are asked for one by one, more of them by the state of their whole registry


@dataclass(frozen=True, slots=True)
class TagsState:
    """What the tags of a repository point to, and what has a subject there, each in one digest."""

    digest: Digest  # of the tags
    referrers: Digest  # of the manifests that have a subject
    tags: int
