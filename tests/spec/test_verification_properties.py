"""Whatever stands in a policy or a root, reading ends in a spec or in problems at their places."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.spec.load import load
from regsync.spec.model import Spec
from regsync.spec.problems import InvalidSpecError
from tests.spec.policy_files import BY_OPS, HERE, OPS, PRIVATE_KEY, policy, root, with_files
from tests.spec.spec_files import Specs

POLICY = r"""
images: ["hub/acme/**"]
targets: ["*/prod/**"]
mode: warn
scope: both
evidence: [hub/acme/signatures]
minAge: 3d
skip: [{images: ["hub/acme/old-*"], reason: old, until: "2027-01-01"}]
authorities:
  ops: {key: {file: ops.pub, hashAlgorithm: auto, tlog: optional, trustRoot: acme}}
  ci: {keyless: {issuer: i, subjectRegExp: 'a.*', extensions: {sourceRepositoryURI: x}}}
require:
  all:
    - signature: {authority: ops, annotations: {team: core}}
    - atLeast: {count: 1, of: [{any: [{signature: {authority: ci}}]}]}
    - attestation: {authority: ops, predicateType: vuln, name: a, select: all, maxAge: 1d, conditions: [x]}
    - attestation: {authority: ops, slsa: {builder: b, sourceRef: r}}
    - attestation:
        authority: ops
        vulnerabilities: {maxSeverity: LOW, fixableOnly: true, format: grype,
          allow: [{id: a, reason: b, until: "2027-01-01"}]}
"""
WHOLE: dict[str, Any] = yaml.safe_load(POLICY)
SECRET = "MFkwEwYHKoZIzj0CAQYI"  # a part of PRIVATE_KEY

_ODD = st.sampled_from(
    [
        *(
            None,
            "",
            0,
            -1,
            1.5,
            True,
            [],
            {},
            [[]],
            {"a": {}},
            "x" * 2000,
            "\x00",
            "é",
            "**",
            "*",
            "a/b",
            "((",
            "(",
        ),
        *(
            "[",
            "hub/**/**/x",
            "{repository}",
            "1d",
            "2027-99-99",
            "9999-12-31T23:59:59-23:59",
            "https://x",
            "u:p@h/x",
        ),
        *("../../..", "/dev/zero", ".", PRIVATE_KEY, {"file": PRIVATE_KEY}, {"data": PRIVATE_KEY}),
        *([{"signature": {"authority": "ops"}}] * 2, {"all": [{"any": []}]}, "ops", "public-good", "acme"),
    ]
)


def paths(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, each in below for one in paths(each, *path, key))]


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> None:
    for step in path[:-1]:
        value = value[step]
    change(value, path[-1])


def replaced(new: Any) -> Callable[[Any, Any], None]:
    def change(holder: Any, key: Any) -> None:
        holder[key] = deepcopy(new)

    return change


def removed(holder: Any, key: Any) -> None:
    del holder[key]


def extended(holder: Any, key: Any) -> None:
    if isinstance(holder[key], list):
        holder[key] = holder[key] * 2
    elif isinstance(holder[key], dict):
        holder[key]["more"] = "x"


_CHANGES = st.one_of(_ODD.map(replaced), st.just(removed), st.just(extended))


@pytest.fixture(scope="module")
def specs_of_all(tmp_path_factory: pytest.TempPathFactory) -> Specs:
    return with_files(Specs(tmp_path_factory.mktemp("properties")))


def load_or_problems(path: Path) -> Spec | InvalidSpecError:
    try:
        return load([path])
    except InvalidSpecError as error:
        return error


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(paths(WHOLE)[1:]), _CHANGES), min_size=1, max_size=2))
def test_a_policy_that_is_changed_anywhere_is_read_or_refused_at_a_place(
    specs_of_all: Specs, changes: list[tuple[tuple[Any, ...], Callable[[Any, Any], None]]]
) -> None:
    value = deepcopy(WHOLE)
    for path, change in changes:
        try:
            changed(value, path, change)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    document = {"apiVersion": "regsync.dev/v1", "kind": "VerificationPolicy", "metadata": {"name": "prod"}}
    text = yaml.safe_dump({**document, "spec": value}, allow_unicode=True)
    path = specs_of_all.write("regsync.yaml", HERE, text, root("sigstore: {}"))
    found = load_or_problems(path)
    if isinstance(found, Spec):
        assert found.policies["prod"].authorities
        return
    assert found.problems
    lines = path.read_text(encoding="utf-8").count("\n") + 1
    assert all(1 <= one.position.line <= lines and one.position.file for one in found.problems)
    assert SECRET not in str(found)


@settings(max_examples=150, deadline=None)
@given(st.recursive(_ODD, lambda below: st.lists(below, max_size=2) | st.dictionaries(
    st.sampled_from(["sigstore", "notation", "trustedRoot", "ca", "tsa", "trustPolicy", "trustStore", "x"]),
    below, max_size=3), max_leaves=6))  # fmt: skip
def test_a_root_of_anything_is_read_or_refused(specs_of_all: Specs, value: Any) -> None:
    document = {
        "apiVersion": "regsync.dev/v1",
        "kind": "TrustRoot",
        "metadata": {"name": "acme"},
        "spec": value,
    }
    uses = policy(BY_OPS, authorities=OPS.replace("}}", ", trustRoot: acme}}"))
    path = specs_of_all.write("regsync.yaml", HERE, uses, yaml.safe_dump(document, allow_unicode=True))
    found = load_or_problems(path)
    assert isinstance(found, Spec) or found.problems
    assert SECRET not in str(found)


def test_the_policy_that_is_changed_is_right_to_begin_with(specs: Specs) -> None:
    document = {"apiVersion": "regsync.dev/v1", "kind": "VerificationPolicy", "metadata": {"name": "prod"}}
    spec = with_files(specs).load(HERE, yaml.safe_dump({**document, "spec": WHOLE}), root("sigstore: {}"))
    assert spec.policies["prod"].skip
