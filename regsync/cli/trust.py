"""`regsync trust`: the roots that signatures are verified by."""

import click

from regsync.cli.lazy import LazyGroup, Verb

VERBS = {
    "update": Verb(
        "regsync.cli.trust_update", "Fetch a Sigstore instance's trusted root by TUF, into a file."
    ),
    "show": Verb("regsync.cli.trust_show", "Show whom trust roots believe, and until when."),
    "verify-bundle": Verb("regsync.cli.trust_verify_bundle", "Verify one Sigstore bundle, offline."),
}


@click.group("trust", cls=LazyGroup, verbs=VERBS)
def command() -> None:
    """Look after the roots that signatures are verified by, and verify a bundle with them."""
