"""`Link` headers: read in every form that registries send, followed only within the registry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.remote.links import ForeignLinkError, next_page, parse_links

URL = "https://registry.test/v2/app/tags/list?n=100"
NEXT = "https://registry.test/v2/app/tags/list?last=b&n=100"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param('</v2/app/tags/list?last=b&n=100>; rel="next"', id="a path"),
        pytest.param("</v2/app/tags/list?last=b&n=100>; rel=next", id="unquoted"),
        pytest.param('<https://registry.test/v2/app/tags/list?last=b&n=100>; rel="next"', id="absolute"),
        pytest.param(
            "<https://REGISTRY.test:443/v2/app/tags/list?last=b&n=100>;rel=next", id="with its port"
        ),
        pytest.param('<list?last=b&n=100>; rel="next"', id="relative to the request"),
        pytest.param('<?last=b&n=100>; rel="next"', id="a query alone"),
        pytest.param(
            '</x>; rel="prev", </v2/app/tags/list?last=b&n=100>; rel="next"', id="the second of two"
        ),
        pytest.param('</v2/app/tags/list?last=b&n=100>; title="a, b; c"; rel="next"', id="quoted separators"),
        pytest.param(
            '</v2/app/tags/list?last=b&n=100> ; title="\\"" ; REL = "prev Next"', id="escapes, case, spaces"
        ),
        pytest.param(' < /v2/app/tags/list?last=b&n=100 > ;rel="next" ;', id="spaces everywhere"),
    ],
)
def test_the_next_page_is_found(header: str) -> None:
    found = next_page([header], URL, where="registry.test/app")
    assert found is not None
    assert found.replace("REGISTRY.test:443", "registry.test") == NEXT


def test_several_headers_are_read() -> None:
    headers = ['</x>; rel="first"', '</v2/app/tags/list?last=b&n=100>; rel="next"']
    assert next_page(headers, URL, where="registry.test/app") == NEXT


@pytest.mark.parametrize("header", ["", "nonsense", "</x", '</x>; rel="prev"', "</x>", '</x>; rel="prev'])
def test_no_next_page_is_none(header: str) -> None:
    assert next_page([header], URL, where="registry.test/app") is None


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/v2/",
        "http://registry.test/v2/",
        "https://registry.test:8443/v2/",
        "//evil.test/v2/",
        "https://user:password@registry.test/v2/",
        "https://registry.test@evil.test/v2/",
        "file:///etc/passwd",
        "https://[broken/",
        "https://registry.test:port/",
    ],
)
def test_a_link_that_leaves_the_registry_is_refused(target: str) -> None:
    with pytest.raises(ForeignLinkError) as caught:
        next_page([f'<{target}>; rel="next"'], URL, where="registry.test/app")
    assert "registry.test/app: the listing goes on at" in str(caught.value)
    assert "password" not in str(caught.value)


@given(st.text(alphabet='<>;,="\\ \tarelnxt/:?&', max_size=60))
def test_no_header_breaks_the_reader(header: str) -> None:
    for target, parameters in parse_links(header):
        assert "<" not in target or header.count("<") > 1
        assert all(name == name.lower() for name in parameters)


@given(
    st.from_regex(r"/v2/[a-z]{1,8}/tags/list\?last=[a-z0-9.%-]{1,20}", fullmatch=True), st.text(max_size=20)
)
def test_a_printed_link_is_read_back(target: str, title: str) -> None:
    quoted = title.replace("\\", "\\\\").replace('"', '\\"')
    links = list(parse_links(f'<{target}>; title="{quoted}"; rel="next"'))
    assert links == [(target, {"title": title, "rel": "next"})]
