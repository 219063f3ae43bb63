import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.platform import InvalidPlatformError, Platform


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm/7", "linux/arm/v7"),
        ("macos/arm64", "darwin/arm64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/i386", "linux/386"),
    ],
)
def test_spellings_of_one_platform_are_equal(one: str, other: str) -> None:
    assert Platform.parse(one) == Platform.parse(other)


def test_different_platforms_differ() -> None:
    assert Platform.parse("linux/arm/v6") != Platform.parse("linux/arm/v7")
    assert Platform.parse("linux/amd64/v3") != Platform.parse("linux/amd64")


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux/am d64", "l/" + "a" * 65]
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlatformError):
        Platform.parse(text)


def test_a_version_of_the_system_counts_only_where_it_is_asked_for() -> None:
    server = Platform.of("windows", "amd64", os_version="10.0.20348.1")
    assert server.matches(Platform.parse("windows/amd64"))
    assert server.matches(Platform.of("windows", "amd64", os_version="10.0.20348.1"))
    assert not server.matches(Platform.of("windows", "amd64", os_version="10.0.17763.1"))


@given(st.text(max_size=40))
def test_what_was_read_prints_as_what_reads_alike(text: str) -> None:
    try:
        found = Platform.parse(text)
    except InvalidPlatformError:
        return
    assert Platform.parse(str(found)) == found


def test_buildkits_marker_is_known() -> None:
    assert Platform.parse("unknown/unknown").is_unknown
