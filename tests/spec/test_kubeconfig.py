"""What is taken from a kubeconfig, and what is refused."""

from pathlib import Path

import pytest

from regsync.spec.kubeconfig import ClusterAccess, KubeconfigError, Material, read_access

HERE = Path("/home/me/.kube/config")
CLUSTER = "{server: 'https://k8s.example.com:6443/', certificate-authority: ca.pem}"


def kubeconfig(
    cluster: str = CLUSTER, user: str = "{token: abc}", context: str = "{cluster: c, user: u}"
) -> str:
    return (
        "apiVersion: v1\nkind: Config\npreferences: {}\n"
        f"clusters: [{{name: c, cluster: {cluster}}}]\n"
        f"users: [{{name: u, user: {user}}}]\n"
        f"contexts: [{{name: prod, context: {context}}}]\n"
    )


def access(*texts: str, context: str = "prod") -> ClusterAccess:
    return read_access([(HERE, text.encode()) for text in texts], context)


def test_what_kubectl_writes_is_understood() -> None:
    assert access(kubeconfig()) == ClusterAccess(
        "https://k8s.example.com:6443", Material(path=HERE.parent / "ca.pem"), token="abc"
    )
    inline = access(
        kubeconfig("{server: 'https://k8s', certificate-authority-data: aGk=}", "{tokenFile: /t}")
    )
    assert inline == ClusterAccess("https://k8s", Material(b"hi"), token_file=Path("/t"))


def test_secrets_are_in_no_repr() -> None:
    shown = repr(
        access(kubeconfig(user="{token: s3cret, client-certificate-data: aGk=, client-key-data: aGk=}"))
    )
    assert "s3cret" not in shown
    assert "hi" not in shown


def test_the_first_file_that_has_a_name_counts() -> None:
    other = kubeconfig("{server: 'https://other'}", "{token: other}")
    assert access(kubeconfig(), other).token == "abc"
    assert access("users: [{name: u, user: {token: first}}]", kubeconfig()).token == "first"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param(
            kubeconfig(user="{exec: {command: aws}}"), "exec: credentials from a program", id="a program"
        ),
        pytest.param(kubeconfig(user="{auth-provider: {name: gcp}}"), "auth-provider", id="a provider"),
        pytest.param(kubeconfig(user="{username: a, password: b}"), "no passwords", id="a password"),
        pytest.param(
            kubeconfig("{server: 'https://k8s', insecure-skip-tls-verify: true}"),
            "would not be verified",
            id="no verification",
        ),
        pytest.param(kubeconfig("{server: 'https://k8s', proxy-url: 'http://p'}"), "proxy-url", id="a proxy"),
        pytest.param(kubeconfig("{server: 'http://k8s'}"), "expected https://", id="plain HTTP"),
        pytest.param(
            kubeconfig("{server: 'https://u:p@k8s'}"), "expected https://", id="a password in the URL"
        ),
        pytest.param(kubeconfig("{server: 'https://k8s:x'}"), "not a URL", id="no URL"),
        pytest.param(kubeconfig("{}"), "expected https://", id="no server"),
        pytest.param(kubeconfig(user="{client-certificate: a.pem}"), "go together", id="half a certificate"),
        pytest.param(kubeconfig(user="{client-key-data: '%'}"), "not base64", id="no base64"),
        pytest.param(kubeconfig(user="{token: [a]}"), "expected text", id="a list as a token"),
        pytest.param(kubeconfig(context="{cluster: x, user: u}"), "no cluster", id="an unknown cluster"),
        pytest.param(kubeconfig(context="{cluster: c}"), "no user", id="no user"),
        pytest.param("contexts: [{name: test, context: {}}]", "there are: test", id="another context"),
        pytest.param("a: [", "not YAML", id="broken YAML"),
        pytest.param("- a", "expected a mapping", id="a list"),
        pytest.param("", "there are: none", id="nothing"),
        pytest.param(
            "clusters: {a: b}\nusers: 7\ncontexts: [7, {name: [a]}]", "there are: none", id="odd types"
        ),
        pytest.param("&a [" * 5_000, "nested deeper", id="a bomb"),
    ],
)
def test_what_cannot_be_taken_says_why(text: str, cause: str) -> None:
    with pytest.raises(KubeconfigError, match=cause) as caught:
        access(text)
    assert caught.value.hint
