import json

import pytest

from regsync.spec.notifications import (
    TEMPLATE_FIELDS,
    Notification,
    NotificationFormat,
    Occasion,
    fill_template,
)
from regsync.spec.secret import MissingSecretError, SecretRef
from tests.spec.spec_files import Specs, document

URL = "{env: HOOK_OF_TESTS}"


def settings(notifications: str) -> str:
    return document("Settings", None, f"notifications:\n{notifications}")


def read(specs: Specs, notifications: str) -> tuple[Notification, ...]:
    return specs.load(settings(notifications)).settings.notifications


def test_who_is_told_of_what(specs: Specs) -> None:
    template = '{"text": "{{ mirror }}: {{message}}"}'
    found = read(specs, f"- {{url: {URL}, format: slack, on: [drift, failure]}}\n"
                 f"- {{url: {{file: hook}}, template: '{template}'}}")  # fmt: skip
    slack = Notification(
        SecretRef.from_env("HOOK_OF_TESTS"), NotificationFormat.SLACK, None,
        (Occasion.FAILURE, Occasion.DRIFT),
    )  # fmt: skip
    hook = SecretRef.from_file(specs.directory / "hook")
    assert found == (slack, Notification(hook, NotificationFormat.WEBHOOK, template, tuple(Occasion)))


def test_without_any_nobody_is_told(specs: Specs) -> None:
    assert specs.load(document("Settings", None, "concurrency: 3")).settings.notifications == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("- {format: slack}", "url: the key is missing", id="where to"),
        pytest.param("- {url: https://hooks.example.com/T0/secret}", "secrets are never written", id="a URL"),
        pytest.param(f"- {{url: {URL}, format: teams}}", "expected one of webhook, slack", id="a format"),
        pytest.param(f"- {{url: {URL}, on: []}}", "at least one", id="of nothing"),
        pytest.param(f"- {{url: {URL}, on: [success]}}", "expected one of failure", id="an occasion"),
        pytest.param(f"- {{url: {URL}, format: slack, template: '{{}}'}}", "template is for format: webhook",
                     id="a template of Slack's own"),
        pytest.param(f"- {{url: {URL}, template: 'x: {{{{mirror}}}}'}}", "it is no JSON", id="no JSON"),
        pytest.param(f"- {{url: {URL}, template: '[{{{{mirror}}}}]'}}", "no JSON", id="outside of quotes"),
        pytest.param(f"- {{url: {URL}, template: '[\"{{{{secret}}}}\"]'}}", "is not one of", id="a field"),
        pytest.param(f"- {{url: {URL}, template: '{'[' * 9999}'}}", "invalid template", id="too deep"),
        pytest.param(f"- {{url: {URL}, template: '{{{{{' ' * 16000}'}}", "no JSON", id="no end"),
        pytest.param(f"- {{url: {URL}, template: '\"{'x' * 17000}\"'}}", "longer than 16384", id="too long"),
    ],
)  # fmt: skip
def test_mistakes_say_what_was_expected(specs: Specs, text: str, expected: str) -> None:
    found = "\n".join(specs.problems(settings(text)))
    assert expected in found
    assert "T0/secret" not in found


def test_a_url_that_is_not_there_says_where_it_was_wanted(specs: Specs) -> None:
    (found,) = read(specs, "- {url: {env: UNSET_IN_TESTS}}")
    with pytest.raises(MissingSecretError, match=r":\d+: Settings: spec\.notifications\[0\]\.url: secret"):
        found.url.read()


@pytest.mark.parametrize("value", ['a "quote"', "back\\slash", "line\nbreak", "{{event}}", "\x00", "ü€"])
def test_no_value_breaks_the_document(value: str) -> None:
    template = '{"a": {"b": ["{{mirror}}", "{{event}} of {{ mirror }}"]}}'
    filled = json.loads(fill_template(template, {**dict.fromkeys(TEMPLATE_FIELDS, ""), "mirror": value}))
    assert filled == {"a": {"b": [value, f" of {value}"]}}
