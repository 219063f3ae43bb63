"""The roles of examples/server do what its comments, and docs/server.md, say: with tokens as they really are."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from regsync.oci.reference import RepositoryName
from regsync.server.access import Action, Principal
from regsync.server.role_access import RoleAccess
from regsync.server.roles import Roles
from regsync.spec.load import load

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "server"


def github(sub: str, repository: str) -> Mapping[str, object]:
    return {
        "iss": "https://token.actions.githubusercontent.com",
        "aud": "registry.example.com",
        "sub": sub,
        "repository": repository,
        "repository_owner": repository.partition("/")[0],
        "ref_protected": "true",
    }


@pytest.mark.parametrize(
    ("issuer", "claims", "repository", "expected"),
    [
        pytest.param(
            "github", github("repo:acme/web:ref:refs/heads/main", "acme/web"), "web/app", "pull push", id="main"
        ),
        pytest.param(
            "github", github("repo:acme/web:ref:refs/heads/main", "acme/web"), "shop/app", "", id="elsewhere"
        ),
        pytest.param("github", github("repo:acme/web:pull_request", "acme/web"), "web/app", "", id="a pull request"),
        pytest.param(
            "github", github("repo:acme/web:ref:refs/heads/main/x", "acme/web"), "web/app", "", id="like main"
        ),
        pytest.param(
            "github", github("repo:acme/web:pull_request", "acme/web"), "scratch/a/b", "overwrite pull push",
            id="scratch",
        ),
        pytest.param("github", github("repo:acme/web:pull_request", "acme/web"), "base/os", "pull", id="base"),
        pytest.param(
            "gitlab", {"sub": "project_path:acme/shop:ref_type:branch:ref:main"}, "web/app", "pull push", id="gitlab"
        ),
        pytest.param(
            "gitlab", {"sub": "project_path:acme/shop:ref_type:branch:ref:mine"}, "web/app", "", id="a branch"
        ),
        pytest.param(
            "gitlab", {"sub": "repo:acme/web:ref:refs/heads/main"}, "web/app", "", id="a subject of another issuer's"
        ),
        pytest.param(
            "cluster", {"sub": "system:serviceaccount:prod:web"}, "web/app", "pull", id="a workload in prod"
        ),
        pytest.param("cluster", {"sub": "system:serviceaccount:dev:web"}, "web/app", "", id="a workload in dev"),
        pytest.param("", {}, "public/app", "pull", id="nobody in particular"),
        pytest.param("", {}, "base/app", "", id="nobody, where a login is needed"),
    ],
)  # fmt: skip
def test_roles_of_the_example(
    issuer: str, claims: Mapping[str, object], repository: str, expected: str
) -> None:
    server = load([EXAMPLE]).server
    assert server is not None
    assert server.access is not None
    access = RoleAccess(Roles(server.access))
    name = f"{issuer}:{claims['sub']}" if issuer else ""
    who = Principal(name, claims=claims, issuer=issuer)
    allowed = {one.value for one in Action if access.allows(who, one, RepositoryName(repository))}
    assert allowed == set(expected.split())
