"""What may differ between registries, as data; a vendor's module fills in where it does.

Sources for each value: REGISTRIES.md's numbered facts, cited as (23) beside the values.
"""

from dataclasses import dataclass
from enum import Enum

MIB = 1024 * 1024
PULL = frozenset({"pull"})
PUSH = frozenset({"pull", "push"})
DELETE = frozenset({"pull", "delete"})


class UploadWay(Enum):
    """How a blob's bytes go to a registry, after the POST that opens a session."""

    PUT = "one streamed PUT"
    PATCH = "one PATCH without Content-Range, then an empty PUT"


class Known(Enum):
    """What is known of an ability. `ASK` is settled by the first request that shows it."""

    YES = "yes"
    NO = "no"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Provider:
    """How one kind of registry wants to be spoken to. The defaults are the distribution-spec's."""

    name: str
    upload: UploadWay = UploadWay.PUT
    max_body: int | None = None  # bytes that one request may carry; longer blobs go in chunks
    chunked: bool = True  # PATCH with Content-Range works, and goes on at the offset reported
    single_post: Known = Known.ASK  # POST ?digest= with the blob in it answers 201
    head: Known = Known.ASK  # HEAD of a manifest answers like GET, with digest and length
    page_size: int = 1000  # `n` of listings; ECR refuses more (7)
    catalog: Known = Known.ASK  # `_catalog` lists what these credentials may see
    catalog_hint: str = ""  # what to do instead, where it does not
    drops_unknown: bool = False  # a push to a missing repository may end without an answer (22)
    deletion: Known = Known.ASK  # DELETE of a manifest, by digest, removes it
    tag_deletion: Known = Known.ASK  # DELETE of a tag removes that tag alone
    drops_untagged: bool = False  # an image goes with its last tag, also from under an index (52)
    untag_first: bool = False  # a manifest is deleted only after its tags (10)
    checks_references: bool = False  # known to refuse a manifest whose blobs are missing, and to say so (54)
    has_states: bool = False  # `_regsync/state` shows all tags with their digests (docs/server.md)
    delete_actions: frozenset[str] = DELETE  # of the token scope (18)
