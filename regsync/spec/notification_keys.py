"""Keys of one of `Settings.notifications`."""

from typing import Annotated

from pydantic import Field, model_validator

from regsync.spec import fields
from regsync.spec.keys import Keys
from regsync.spec.notifications import NotificationFormat, Occasion, check_template
from regsync.spec.registry_keys import Secret

_FORMATS = [one.value for one in NotificationFormat]
_OCCASIONS = [one.value for one in Occasion]
FormatWord = Annotated[str, fields.choice(*_FORMATS), Field(json_schema_extra={"enum": _FORMATS})]
OccasionWord = Annotated[str, fields.choice(*_OCCASIONS), Field(json_schema_extra={"enum": _OCCASIONS})]
Template = Annotated[
    str,
    fields.long_text(check_template),
    fields.schema("string", examples=['{"text": "{{mirror}}: {{message}}"}']),
]


class NotificationKeys(Keys):
    """An address that is told of failures and the like, of each once until it changes."""

    url: Secret = Field(
        description="Where to post, as {env: NAME} or {file: PATH}: who knows such a URL can post there."
    )
    format: FormatWord = Field(
        "webhook",
        description="`webhook`: a JSON document, or `template`; `slack`: what Slack's incoming webhooks take "
        "(webhook).",
    )
    template: Template | None = Field(
        None,
        description="For webhooks: the JSON to post, with {{event}} {{mirror}} {{message}} {{run}} {{time}} "
        "inside of its texts.",
    )
    on: Annotated[list[OccasionWord], Field(min_length=1)] | None = Field(
        None,
        description="What is told of: `failure`, `recovery` from one, `drift` that a run finds, `blocked` "
        "by a policy or a limit (all of them).",
    )

    @model_validator(mode="after")
    def _template_of_a_webhook(self) -> "NotificationKeys":
        if self.template is not None and self.format != NotificationFormat.WEBHOOK.value:
            raise ValueError(f"template is for format: webhook; {self.format} has a form of its own")
        return self
