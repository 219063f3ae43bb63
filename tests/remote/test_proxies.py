"""Proxies of the environment: which one is in the way, and that errors name it."""

import socket
from collections.abc import Iterator

import pytest

from regsync.remote.errors import RegistryUnreachableError, UnknownHostError
from regsync.remote.proxies import Proxies
from regsync.remote.transport import NativeTransport
from tests.remote.sessions import raw_server

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator[str]:
    """Answers 418 to whatever it is asked for."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 418 A proxy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with raw_server(serve) as url:
        yield url


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"HTTP_PROXY": "{proxy}"}, "http://registry.invalid/"),
        ({"http_proxy": "{proxy}"}, "http://registry.invalid/"),
        ({"ALL_PROXY": "{proxy}"}, "http://registry.invalid/"),
        ({"HTTPS_PROXY": "{proxy}"}, NOWHERE),
        ({"HTTP_PROXY": "{bare}"}, NOWHERE),
        ({"HTTP_PROXY": "", "http_proxy": "{proxy}"}, NOWHERE),
        ({"HTTP_PROXY": "", "ALL_PROXY": "{proxy}"}, NOWHERE),
        ({"HTTP_PROXY": "http://[bad", "ALL_PROXY": "{proxy}"}, NOWHERE),
        ({"HTTP_PROXY": " {proxy}"}, NOWHERE),
        ({"HTTP_PROXY": "ftp://{bare}"}, NOWHERE),
        ({"HTTP_PROXY": "{proxy}", "REQUEST_METHOD": "GET"}, NOWHERE),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*"}, "http://registry.invalid/"),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*"}, NOWHERE),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "127.0.0.0/8"}, NOWHERE),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "10.0.0.1, 127.0.0.1"}, NOWHERE),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "", "no_proxy": "127.0.0.1"}, NOWHERE),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "INVALID"}, "http://registry.invalid/"),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": ".invalid"}, "http://registry.invalid/"),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": ".registry.invalid"}, "http://registry.invalid/"),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "y.invalid"}, "http://registry.invalid/"),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*.invalid"}, "http://registry.invalid/"),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "registry.invalid:80"}, "http://registry.invalid/"),
    ],
)
async def test_what_is_said_of_proxies_is_what_the_library_does(
    proxy: str, environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = proxy.removeprefix("http://")
    filled = {name: text.format(proxy=proxy, bare=bare) for name, text in environ.items()}
    for name, text in filled.items():
        monkeypatch.setenv(name, text)
    native = NativeTransport()
    used = None
    try:
        answer = await native.start("GET", url, {})
        assert answer.status == 418
        used = proxy
        await answer.close()
    except (RegistryUnreachableError, UnknownHostError):
        pass  # nobody is there but the proxy
    finally:
        await native.close()
    assert Proxies.of(filled).on_the_way_to(url) == used


@pytest.mark.parametrize("url", ["https://registry.example.com/v2/", "http://registry.example.com/v2/"])
async def test_an_error_names_the_proxy_in_the_way_without_its_credentials(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:hunter2@127.0.0.1:1")
    native = NativeTransport()
    with pytest.raises(
        RegistryUnreachableError, match=r"through the proxy http://127\.0\.0\.1:1: "
    ) as raised:
        await native.start("GET", url, {})
    await native.close()
    assert "hunter2" not in str(raised.value)
    assert "NO_PROXY" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://bob:S3cr#et@127.0.0.1:3128", None),
        ("http://bob:12#et@127.0.0.1:3128", None),
        ("http://bob:12/et@127.0.0.1:3128", None),
        ("http://bob:12?et@127.0.0.1:3128", None),
        ("bob:12/et@127.0.0.1:3128", None),
        ("http://bob:p@ss@proxy.example.com:3128", "http://proxy.example.com:3128"),
        ("http://bob:pass@[::1]:3128/x", "http://[::1]:3128"),
        ("socks5://bob:pass@proxy.example.com", "socks5://proxy.example.com"),
    ],
)
def test_no_part_of_a_password_is_taken_for_the_proxy(text: str, proxy: str | None) -> None:
    assert Proxies.of({"HTTPS_PROXY": text}).on_the_way_to("https://registry.example.com/v2/") == proxy


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_whose_name_does_not_exist(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://proxy.invalid:3128")
    native = NativeTransport()
    with pytest.raises(UnknownHostError, match=rf"through the proxy {scheme}://proxy\.invalid:3128: "):
        await native.start("GET", "https://registry.example.com/v2/", {})
    await native.close()
