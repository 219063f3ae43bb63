"""The documents of a spec as pydantic models: the envelope, and what each kind holds.

The models are the one place where keys are declared; the JSON Schema and docs/spec.md are rendered
from them. What needs other documents (names, groups, defaults) is checked after them.
"""

from typing import Annotated, Literal

from pydantic import Field

from regsync.spec import fields
from regsync.spec.keys import Keys
from regsync.spec.mirror_keys import MirrorKeys
from regsync.spec.notification_keys import NotificationKeys
from regsync.spec.registry_keys import GroupKeys, RegistryKeys

API_VERSION = "regsync.dev/v1"


class SettingsKeys(Keys):
    """What holds for a whole run."""

    state: fields.Word | None = Field(
        None, description="The ledger, a file. Without it .regsync/ledger.db beside the first path."
    )
    concurrency: Annotated[fields.Integer, *fields.between("integer", 1, 4096)] | None = Field(
        None, description="Transfers and requests under way in one run, over all registries (128)."
    )
    notifications: Annotated[list[NotificationKeys], Field(min_length=1)] | None = Field(
        None, description="Whom `regsync run` tells of what."
    )


Labels = dict[fields.Word, fields.Word]


class RegistryMetadata(Keys):
    """The name under which mirrors speak of a registry or group."""

    name: fields.RegistryName = Field(description="Unique among registries and groups.")
    labels: Labels | None = Field(None, description="Labels, for people and for `-l`.")


class MirrorMetadata(Keys):
    """The name of a mirror, and labels to choose it by."""

    name: fields.MirrorName = Field(description="Unique among mirrors.")
    labels: Labels | None = Field(None, description="Labels, for people and for `-l`.")


class OptionalMetadata(Keys):
    """A name that nothing refers to."""

    name: fields.MirrorName | None = Field(None, description="For people; nothing refers to it.")
    labels: Labels | None = Field(None, description="Labels, for people.")


class Envelope(Keys):
    """What every document has around its spec."""

    api_version: Literal["regsync.dev/v1"] = Field(description="Always regsync.dev/v1.")


class RegistryDocument(Envelope):
    """A place: a remote registry, a built-in store, or a directory of OCI image layouts."""

    kind: Literal["Registry"]
    metadata: RegistryMetadata = Field(description="Name and labels.")
    spec: RegistryKeys = Field(description="Where it is and how to talk to it.")


class RegistryGroupDocument(Envelope):
    """A name for several registries, usable wherever a target names one."""

    kind: Literal["RegistryGroup"]
    metadata: RegistryMetadata = Field(description="Name and labels.")
    spec: GroupKeys = Field(description="Its members.")


class MirrorDocument(Envelope):
    """What to keep like what."""

    kind: Literal["Mirror"]
    metadata: MirrorMetadata = Field(description="Name and labels.")
    spec: MirrorKeys = Field(description="Sources, targets, and what to take.")


class MirrorDefaultsDocument(Envelope):
    """Keys of Mirror.spec for all mirrors of its directory and below.

    The nearest directory wins for each key; whole keys are replaced, nothing merges.
    """

    kind: Literal["MirrorDefaults"]
    metadata: OptionalMetadata | None = Field(None, description="Name and labels.")
    spec: MirrorKeys = Field(description="Any keys of Mirror.spec.")


class SettingsDocument(Envelope):
    """What holds for a whole run; at most one."""

    kind: Literal["Settings"]
    metadata: OptionalMetadata | None = Field(None, description="Name and labels.")
    spec: SettingsKeys = Field(description="State and limits.")


KINDS = (
    *("Registry", "RegistryGroup", "Mirror", "MirrorDefaults"),
    *("VerificationPolicy", "TrustRoot", "RetentionPolicy", "Project", "Server", "Settings"),
)
_MODELS: dict[str, type[Envelope]] = {
    "Registry": RegistryDocument,
    "RegistryGroup": RegistryGroupDocument,
    "Mirror": MirrorDocument,
    "MirrorDefaults": MirrorDefaultsDocument,
    "Settings": SettingsDocument,
}


def model_of(kind: str) -> type[Envelope]:
    """The model of one of KINDS. Those with many keys cost 10 ms, which runs without them do not pay."""
    match kind:
        case "Server":
            from regsync.spec.server_keys import ServerDocument

            return ServerDocument
        case "VerificationPolicy":
            from regsync.spec.verification_keys import PolicyDocument

            return PolicyDocument
        case "TrustRoot":
            from regsync.spec.trust_root_keys import TrustRootDocument

            return TrustRootDocument
        case "RetentionPolicy":
            from regsync.spec.retention_keys import RetentionDocument

            return RetentionDocument
        case "Project":
            from regsync.spec.project_keys import ProjectDocument

            return ProjectDocument
        case _:
            return _MODELS[kind]
