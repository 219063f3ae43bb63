"""Whom to tell when a mirror fails, recovers, drifts or is blocked."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from regsync.errors import SpecError
from regsync.spec.secret import SecretRef

TEMPLATE_FIELDS = ("event", "mirror", "message", "run", "time")
MAX_TEMPLATE = 16 * 1024  # characters
_FIELD = re.compile(r"\{\{([^{}]*)\}\}")


class InvalidTemplateError(SpecError, ValueError):
    """A template of a notification is no JSON with known fields in it."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"invalid template: {cause}")


class NotificationFormat(Enum):
    """What is posted."""

    WEBHOOK = "webhook"  # JSON of ours, or the template
    SLACK = "slack"  # what Slack's incoming webhooks, and those made like them, take


class Occasion(Enum):
    """What is told of."""

    FAILURE = "failure"
    RECOVERY = "recovery"
    DRIFT = "drift"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Notification:
    """One address, and what it is told of. The URL is a secret: who has it can post."""

    url: SecretRef
    format: NotificationFormat = NotificationFormat.WEBHOOK
    template: str | None = None  # JSON with {{event}} and the like; for webhooks
    on: tuple[Occasion, ...] = tuple(Occasion)


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """The template with a value for each of TEMPLATE_FIELDS, written as JSON has text, without its quotes."""
    return _FIELD.sub(lambda found: json.dumps(values[found[1].strip()])[1:-1], template)


def check_template(template: str) -> None:
    """Raise InvalidTemplateError unless the template, filled, is JSON whatever the values."""
    if len(template) > MAX_TEMPLATE:
        raise InvalidTemplateError(f"longer than {MAX_TEMPLATE} characters")
    for found in _FIELD.finditer(template):
        if found[1].strip() not in TEMPLATE_FIELDS:
            known = " ".join(f"{{{{{one}}}}}" for one in TEMPLATE_FIELDS)
            raise InvalidTemplateError(f"{{{{{found[1][:40]}}}}} is not one of {known}")
    try:
        json.loads(fill_template(template, dict.fromkeys(TEMPLATE_FIELDS, 'a "value"')))
    except ValueError as cause:
        raise InvalidTemplateError(f"filled, it is no JSON: {cause}") from cause
    except RecursionError:
        raise InvalidTemplateError("nested too deeply") from None
