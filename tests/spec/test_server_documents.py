from datetime import timedelta
from pathlib import Path

import pytest

from regsync.oci.reference import RepositoryName
from regsync.spec.load import load
from regsync.spec.server import (
    AccessRule,
    FirstPull,
    ImmutableRule,
    JwtIssuer,
    Listen,
    Server,
    ServerAuth,
    ServerGc,
    ServerLimits,
    ServerTls,
    Subject,
    SubjectKind,
    Upstream,
)
from tests.spec.spec_files import HUB, STORE, WEB, Specs, document

GITHUB = "{name: github, issuer: 'https://token.actions.githubusercontent.com', audience: me}"
GITLAB = "{name: gitlab, issuer: 'https://gitlab.com', audience: me}"


def server(spec: str) -> str:
    return document("Server", None, spec)


def access(subject: str, auth: str = f"{{htpasswd: users, groups: {{ci: [ann]}}, jwt: [{GITHUB}]}}") -> str:
    return server(
        f"auth: {auth}\naccess: [{{subjects: ['{subject}'], repositories: ['a/**'], actions: [pull]}}]"
    )


def test_a_server_says_all_of_it(specs: Specs) -> None:
    text = """
    listen: "[::]:443"
    tls: {cert: tls/server.pem, key: tls/server.key}
    storage: {store: data}
    auth:
      htpasswd: users
      groups: {ci: [ann, "k8s:system:serviceaccount:ci:builder"]}
      jwt:
        - name: k8s
          issuer: https://kubernetes.default.svc
          audience: [registry, other]
          jwks: keys.json
          username: sub
          groups: roles
          require: {sub: "system:serviceaccount:*"}
    access:
      - {subjects: [anonymous, "group:ci"], repositories: ["a/**"], actions: [pull, push]}
    immutable: [{repositories: ["prod/**"], tags: ["v*"]}]
    readOnly: true
    limits: {headerTimeout: 5s, bodySize: 1GiB, connections: 100}
    audit: {file: audit.log}
    upstreams:
      - {prefix: hub, registry: hub, firstPull: anyone, host: Mirror.Example.com, maxAge: 5m, maxStale: 1d}
    gc: {interval: 1h}
    """
    here = specs.directory
    found = specs.load(HUB, server(text)).server
    assert found == Server(
        listen=Listen("::", 443),
        store=here / "data",
        tls=ServerTls(here / "tls/server.pem", here / "tls/server.key"),
        auth=ServerAuth(
            here / "users",
            {"ci": ("ann", "k8s:system:serviceaccount:ci:builder")},
            (
                JwtIssuer(
                    "k8s",
                    "https://kubernetes.default.svc",
                    ("registry", "other"),
                    here / "keys.json",
                    groups="roles",
                    require={"sub": "system:serviceaccount:*"},
                ),
            ),
        ),
        access=(
            AccessRule(
                (Subject(SubjectKind.ANONYMOUS), Subject(SubjectKind.GROUP, "ci")),
                ("a/**",),
                frozenset({"pull", "push"}),
            ),
        ),
        immutable=(ImmutableRule(("prod/**",), ("v*",)),),
        read_only=True,
        limits=ServerLimits(header_timeout=timedelta(seconds=5), body_size=1024**3, connections=100),
        audit=here / "audit.log",
        upstreams=(
            Upstream(
                RepositoryName("hub"),
                "hub",
                FirstPull.ANYONE,
                "mirror.example.com",
                max_age=timedelta(minutes=5),
                max_stale=timedelta(days=1),
            ),
        ),
        gc=ServerGc(timedelta(hours=1)),
    )
    assert str(found.listen) == "[::]:443"


def test_an_empty_server_listens_on_this_host_alone(specs: Specs) -> None:
    assert specs.load(server("readOnly: false")).server == Server(Listen("127.0.0.1", 5000))


def test_a_spec_without_one_has_none(specs: Specs) -> None:
    assert specs.load(HUB, STORE, WEB).server is None


def test_a_server_is_no_part_of_what_a_plan_was_made_from(specs: Specs) -> None:
    without = specs.load(HUB, STORE, WEB).digest
    assert specs.load(HUB, STORE, WEB, server("readOnly: true")).digest == without


def test_an_issuer_without_a_name_has_that_of_its_host(specs: Specs) -> None:
    text = access("user:gitlab.com:ann", "{jwt: [{issuer: 'https://gitlab.com', audience: me}]}")
    found = specs.load(text).server
    assert found is not None
    assert found.auth.jwt[0].name == "gitlab.com"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("anonymous", Subject(SubjectKind.ANONYMOUS)),
        ("*", Subject(SubjectKind.AUTHENTICATED)),
        ("user:ann", Subject(SubjectKind.USER, "ann")),
        ("user:github:repo:a/b", Subject(SubjectKind.USER, "github:repo:a/b")),
        ("group:ci", Subject(SubjectKind.GROUP, "ci")),
        ("group:github:devs", Subject(SubjectKind.GROUP, "github:devs")),
        ("claim:ref=refs/tags/*", Subject(SubjectKind.CLAIM, "ref", "refs/tags/*", "github")),
        ("claim:github:ref=a=b", Subject(SubjectKind.CLAIM, "ref", "a=b", "github")),
        ("claim:https://a.b/c=x", Subject(SubjectKind.CLAIM, "https://a.b/c", "x", "github")),
    ],
)
def test_subjects_are_read(specs: Specs, subject: str, expected: Subject) -> None:
    found = specs.load(access(subject)).server
    assert found is not None
    assert found.access is not None
    assert found.access[0].subjects == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("listen: 5000", "spec.listen: expected an address of this host and a port", id="listen"),
        pytest.param("listen: a.example.com:5000", "spec.listen: expected an address", id="a host name"),
        pytest.param("listen: 0.0.0.0:70000", "spec.listen: expected an address", id="a port"),
        pytest.param("tls: {cert: a}", "spec.tls.key: the key is missing", id="half of TLS"),
        pytest.param("tls: {cert: a, key: b, clientCA: c}", "tls.clientCA: unknown key", id="mutual TLS"),
        pytest.param(
            "upstreams: [{prefix: a, registry: hub, verify: [prod]}]",
            "verify[0]: there is no VerificationPolicy named 'prod'", id="a policy"
        ),
        pytest.param("auth: {groups: {a: [b]}}", "expected htpasswd, jwt, or both", id="no logins"),
        pytest.param("auth: {htpasswd: a}", "spec.auth: auth without access allows nothing", id="no access"),
        pytest.param(
            "access: [{subjects: [anonymous], repositories: [a], actions: [pul]}]",
            "actions[0]: expected one of pull, push, overwrite, delete, admin, found 'pul'",
            id="an action",
        ),
        pytest.param(
            "access: [{subjects: [anonymous], repositories: ['a**'], actions: [pull]}]",
            "repositories[0]: invalid glob",
            id="a glob",
        ),
        pytest.param(
            "access: [{subjects: ['*'], repositories: [a], actions: [pull]}]",
            "'*' is nobody: without auth there is only anonymous",
            id="nobody",
        ),
        pytest.param(
            "upstreams: [{prefix: a, registry: hubb}]",
            "registry: there is no Registry named 'hubb'; did you mean 'hub'?",
            id="no registry",
        ),
        pytest.param(
            "upstreams: [{prefix: a, registry: local}]", "local is not remote", id="a store as upstream"
        ),
        pytest.param(
            "upstreams: [{prefix: a, registry: hub}, {prefix: a, registry: hub}]",
            "spec.upstreams[1].prefix: prefix 'a' stands twice; first in entry 1",
            id="one prefix twice",
        ),
        pytest.param(
            "upstreams: [{prefix: a, registry: hub, host: x}, {prefix: b, registry: hub, host: X}]",
            "spec.upstreams[1].host: host 'x' stands twice",
            id="one host twice",
        ),
        pytest.param(
            "upstreams: [{prefix: a, registry: hub, host: 'x:5000'}]", "without a port", id="host and port"
        ),
        pytest.param("gc: {interval: 0s}", "spec.gc.interval: expected 1m at least", id="no pause"),
        pytest.param("gc: {interval: 59s}", "spec.gc.interval: expected 1m at least", id="a short pause"),
        pytest.param("limits: {bodyTimeout: 0s}", "bodyTimeout: expected 1s at least", id="no time"),
        pytest.param("limits: {headerTimeout: 0s}", "headerTimeout: expected 1s at least", id="no head"),
    ],
)  # fmt: skip
def test_mistakes_in_a_server(specs: Specs, text: str, expected: str) -> None:
    assert expected in "\n".join(specs.problems(HUB, STORE, server(text)))


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        pytest.param("{issuer: gitlab, audience: a}", "has no discovery", id="no URL"),
        pytest.param("{issuer: 'http://gitlab.com', audience: a}", "has no discovery", id="plain HTTP"),
        pytest.param(
            "{issuer: gitlab, audience: a, jwks: 'http://10.0.0.1/keys'}",
            "a URL with https",
            id="keys over HTTP",
        ),
        pytest.param(
            "{issuer: gitlab, audience: a, jwks: 'https://a:b@c.d/keys'}",
            "without credentials",
            id="a secret",
        ),
        pytest.param("{issuer: 'https://a.b'}", "audience: the key is missing", id="no audience"),
        pytest.param(
            "{name: 'a:b', issuer: 'https://a.b', audience: a}", "without spaces, ':'", id="a colon"
        ),
        pytest.param("{issuer: 'https://[::1]/', audience: a}", "give it a name", id="a host with colons"),
        pytest.param("{issuer: 'urn:a', audience: a, jwks: f}", "give it a name", id="a URN"),
        pytest.param("{issuer: 'https://[a/', audience: a, jwks: f}", "give it a name", id="half a host"),
        pytest.param("{issuer: a, audience: a, jwks: f, ca: g}", "ca has no effect", id="ca for a file"),
        pytest.param(f"{GITHUB}, {GITHUB}", "name 'github' stands twice", id="one name twice"),
        pytest.param(
            f"{GITHUB}, {GITHUB.replace('name: github, ', '')}",
            "issuer 'https://token.actions.githubusercontent.com' stands twice",
            id="one issuer twice",
        ),
    ],
)
def test_mistakes_in_an_issuer(specs: Specs, issuer: str, expected: str) -> None:
    assert expected in "\n".join(specs.problems(access("*", f"{{jwt: [{issuer}]}}")))


@pytest.mark.parametrize(
    ("subject", "auth", "expected"),
    [
        pytest.param("ann", "{htpasswd: a}", "expected anonymous, *, user:NAME", id="a bare name"),
        pytest.param("usr:ann", "{htpasswd: a}", "did you mean 'user'?", id="a typing error"),
        pytest.param("user:", "{htpasswd: a}", "expected anonymous, *, user:NAME", id="no name"),
        pytest.param("user:ann", f"{{jwt: [{GITHUB}]}}", "is user:github:ann", id="a user of an issuer"),
        pytest.param("user:gihub:ann", f"{{jwt: [{GITHUB}]}}", "no issuer has such a name", id="no issuer"),
        pytest.param("group:ci", "{htpasswd: a}", "there is no group 'ci' in auth.groups", id="no group"),
        pytest.param("group:ci", f"{{jwt: [{GITHUB}]}}", "is group:github:ci", id="a group of an issuer"),
        pytest.param("group:x:ci", f"{{jwt: [{GITHUB}]}}", "no issuer has such a name", id="of no issuer"),
        pytest.param("claim:a=b", "{htpasswd: a}", "claims are in tokens", id="a claim without tokens"),
        pytest.param("claim:a=b", f"{{jwt: [{GITHUB}, {GITLAB}]}}", "of whose tokens?", id="whose claim"),
        pytest.param("claim:a", f"{{jwt: [{GITHUB}]}}", "expected claim:KEY=GLOB", id="no value"),
        pytest.param("claim:a=[b", f"{{jwt: [{GITHUB}]}}", "invalid glob '[b'", id="no glob"),
        pytest.param(
            "*", "{htpasswd: a, groups: {ci: [ann, 'k8s:bob']}}", "groups.ci[1]: user:k8s:bob: no issuer",
            id="a member of no issuer",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_subjects(specs: Specs, subject: str, auth: str, expected: str) -> None:
    assert expected in "\n".join(specs.problems(access(subject, auth)))


def test_a_second_server_is_a_mistake_with_the_place_of_the_first(specs: Specs) -> None:
    assert (
        "there is at most one Server; the first is at"
        in specs.problems(server("readOnly: true"), server("readOnly: true"))[0]
    )


def test_a_broken_login_does_not_make_its_subjects_mistakes(specs: Specs) -> None:
    problems = specs.problems(access("group:ci", "{htpasswd: 1, groops: {}}"))
    assert len(problems) == 1
    assert "spec.auth.groops: unknown key" in problems[0]


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    directory = Specs(tmp_path)
    path = directory.write("sub/server.yaml", server("audit: {file: a.log}"))
    found = load([path]).server
    assert found is not None
    assert found.audit == tmp_path / "sub/a.log"
