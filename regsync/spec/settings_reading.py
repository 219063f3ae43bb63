"""The one Settings of a spec."""

from collections.abc import Sequence
from pathlib import Path

from regsync.spec.documents import SettingsDocument
from regsync.spec.model import DEFAULT_CONCURRENCY, DEFAULT_STATE, Settings
from regsync.spec.notification_keys import NotificationKeys
from regsync.spec.notifications import Notification, NotificationFormat, Occasion
from regsync.spec.problems import Problems
from regsync.spec.reading import Document
from regsync.spec.registries import absolute, secret_ref


def read_settings(documents: Sequence[Document], root: Path, problems: Problems) -> Settings:
    """What the Settings say, and defaults where there are none; a second one is a problem."""
    found = [document for document in documents if document.kind == "Settings"]
    for document in found[1:]:
        message = f"there is at most one Settings; the first is at {found[0].root.position}"
        problems.add(document.root.position, "", message)
    if not found or not isinstance(found[0].model, SettingsDocument):
        return Settings(root / DEFAULT_STATE)
    keys = found[0].model.spec
    return Settings(
        root / DEFAULT_STATE if keys.state is None else absolute(found[0], keys.state),
        DEFAULT_CONCURRENCY if keys.concurrency is None else keys.concurrency,
        tuple(_notification(found[0], *one) for one in enumerate(keys.notifications or ())),
    )


def _notification(document: Document, number: int, keys: NotificationKeys) -> Notification:
    return Notification(
        url=secret_ref(document, keys.url, "notifications", number, "url"),
        format=NotificationFormat(keys.format),
        template=keys.template,
        on=tuple(one for one in Occasion if keys.on is None or one.value in keys.on),
    )
