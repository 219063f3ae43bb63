"""The roles of examples/server do what its comments say, with subjects as real issuers write them."""

from pathlib import Path

import pytest

from regsync.oci.reference import RepositoryName
from regsync.server.access import Action, Principal
from regsync.server.role_access import RoleAccess
from regsync.server.roles import Roles
from regsync.spec.load import load

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "server"


MAIN = "repo:acme/web:ref:refs/heads/main"
REQUEST = "repo:acme/web:pull_request"
SHOP = "project_path:acme/shop:ref_type:branch:ref"


@pytest.mark.parametrize(
    ("issuer", "sub", "repository", "expected"),
    [
        pytest.param("github", MAIN, "web/app", "pull push", id="main"),
        pytest.param("github", MAIN, "shop/app", "", id="main, elsewhere"),
        pytest.param("github", f"{MAIN}/x", "web/app", "", id="a branch like main"),
        pytest.param("github", REQUEST, "web/app", "", id="a pull request"),
        pytest.param("github", REQUEST, "scratch/a/b", "overwrite pull push", id="a pull request's scratch"),
        pytest.param("github", REQUEST, "base/os", "pull", id="what whoever logged in may pull"),
        pytest.param("gitlab", f"{SHOP}:main", "web/app", "pull push", id="main of GitLab"),
        pytest.param("gitlab", f"{SHOP}:mine", "web/app", "", id="another branch"),
        pytest.param("gitlab", MAIN, "web/app", "", id="a subject of another issuer's"),
        pytest.param("cluster", "system:serviceaccount:prod:web", "web/app", "pull", id="a workload in prod"),
        pytest.param("cluster", "system:serviceaccount:dev:web", "web/app", "", id="a workload in dev"),
        pytest.param("", "", "public/app", "pull", id="nobody in particular"),
        pytest.param("", "", "base/app", "", id="nobody, where a login is needed"),
    ],
)
def test_roles_of_the_example(issuer: str, sub: str, repository: str, expected: str) -> None:
    server = load([EXAMPLE]).server
    assert server is not None
    assert server.access is not None
    access = RoleAccess(Roles(server.access))
    claims = {"sub": sub, "repository": "acme/web", "repository_owner": "acme"}
    who = Principal(f"{issuer}:{sub}" if issuer else "", claims=claims, issuer=issuer)
    allowed = {one.value for one in Action if access.allows(who, one, RepositoryName(repository))}
    assert allowed == set(expected.split())
