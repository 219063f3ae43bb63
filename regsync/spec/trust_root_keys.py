"""`TrustRoot` documents and their keys."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from regsync.spec import fields
from regsync.spec.documents import Envelope, Labels
from regsync.spec.keys import Keys

Threshold = Annotated[fields.Integer, *fields.between("integer", 0, 10)]
Files = list[fields.Word]


class SigstoreRootKeys(Keys):
    """A Sigstore instance: whom it trusts, and how much of it evidence by a certificate has to show."""

    trusted_root: fields.Word | None = Field(
        None,
        description="Its trusted root, a JSON file as `cosign trusted-root create` and `regsync trust "
        "update` write it. Without it the public-good root that ships with regsync, with these thresholds.",
    )
    tlog_threshold: Threshold = Field(1, description="Transparency logs that have to have it, at least (1).")
    timestamp_threshold: Threshold = Field(
        0, description="Timestamp authorities that have to have seen it, at least (0)."
    )
    ctlog_threshold: Threshold = Field(
        1, description="Certificate transparency logs that have to have its certificate, at least (1)."
    )

    @model_validator(mode="after")
    def _timed(self) -> "SigstoreRootKeys":
        if self.tlog_threshold == 0 and self.timestamp_threshold == 0:
            raise ValueError(
                "expected a tlogThreshold or timestampThreshold of 1: certificates live for minutes, so that "
                "without a time that somebody vouches for nothing could be verified"
            )
        return self


class NotationRootKeys(Keys):
    """Certificates of the Notary Project: files, or a trust policy and a trust store as notation has them."""

    ca: Files | None = Field(None, description="Certificates of authorities, files in PEM or DER form.")
    tsa: Files | None = Field(None, description="Certificates of timestamp authorities.")
    signing_authority: Files | None = Field(None, description="Certificates of signing authorities.")
    trust_policy: fields.Word | None = Field(
        None, description="A trustpolicy.oci.json; the policy in it whose scope has the image holds."
    )
    trust_store: fields.Word | None = Field(
        None,
        description="A directory laid out as notation does: `truststore/x509/TYPE/NAME/*.pem` "
        "below it, or `TYPE/NAME/*.pem`.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> "NotationRootKeys":
        files = any(one is not None for one in (self.ca, self.tsa, self.signing_authority))
        as_notation = self.trust_policy is not None or self.trust_store is not None
        if files and as_notation:
            raise ValueError("trustPolicy and trustStore stand instead of ca, tsa and signingAuthority")
        if as_notation and (self.trust_policy is None or self.trust_store is None):
            raise ValueError("trustPolicy and trustStore stand together")
        if not as_notation and not self.ca and not self.signing_authority:
            raise ValueError("expected certificates under ca or signingAuthority, or a trustPolicy")
        return self


class TrustRootKeys(Keys):
    """Whom to believe: exactly one of `sigstore` and `notation`."""

    sigstore: SigstoreRootKeys | None = Field(None, description="A Sigstore instance.")
    notation: NotationRootKeys | None = Field(None, description="Certificates of the Notary Project.")

    @model_validator(mode="after")
    def _one(self) -> "TrustRootKeys":
        return self.exactly_one("sigstore", "notation")


class TrustRootMetadata(Keys):
    """The name under which authorities speak of a root."""

    name: fields.MirrorName = Field(description="Unique among trust roots; `public-good` is built in.")
    labels: Labels | None = Field(None, description="Labels, for people.")


class TrustRootDocument(Envelope):
    """Whom authorities of policies believe.

    Without one it is Sigstore's public-good instance, under the name `public-good`.
    """

    kind: Literal["TrustRoot"]
    metadata: TrustRootMetadata = Field(description="Name and labels.")
    spec: TrustRootKeys = Field(description="A Sigstore instance, or certificates.")
