"""When an attestation was made, by its own word."""

from datetime import UTC, datetime
from typing import Any

import pytest

from regsync.trust.predicate_time import said_at

TIME = "2026-11-20T10:01:00Z"
MADE = datetime(2026, 11, 20, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param(
            {"metadata": {"scanStartedOn": "2026-11-19T00:00:00Z", "scanFinishedOn": TIME}}, id="a scan"
        ),
        pytest.param({"runDetails": {"metadata": {"finishedOn": TIME}}}, id="SLSA 1"),
        pytest.param({"metadata": {"buildFinishedOn": TIME}}, id="SLSA 0.2"),
        pytest.param({"creationInfo": {"created": TIME}}, id="SPDX"),
        pytest.param({"metadata": {"timestamp": TIME}}, id="CycloneDX"),
        pytest.param({"CreatedAt": TIME}, id="trivy"),
        pytest.param({"descriptor": {"timestamp": TIME}}, id="grype"),
        pytest.param({"scanner": {"result": {"CreatedAt": TIME}}}, id="trivy, by cosign"),
        pytest.param({"timestamp": TIME}, id="OpenVEX"),
        pytest.param({"timeVerified": TIME}, id="a verification summary"),
        pytest.param(
            {
                "metadata": {"scanFinishedOn": "0001-01-01T00:00:00Z"},
                "scanner": {"result": {"CreatedAt": TIME}},
            },
            id="a placeholder is passed over",
        ),
        pytest.param({"timestamp": "2026-11-20T11:01:00+01:00"}, id="another zone"),
        pytest.param({"timestamp": "2026-11-20T10:01:00"}, id="without a zone it is UTC"),
    ],
)
def test_the_time_is_found_where_each_kind_has_it(predicate: dict[str, Any]) -> None:
    assert said_at(predicate) == MADE


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", 5, None, {"at": TIME}, "9" * 99],
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert said_at({"timestamp": value}) is None
    assert said_at({"metadata": value}) is None


def test_fractions_of_a_second_may_have_any_length() -> None:
    found = said_at({"timestamp": "2026-11-20T10:01:00.123456789Z"})
    assert found is not None
    assert found.replace(microsecond=0) == MADE
