"""What manifests/ renders is what Kubernetes takes, and fits together with this program."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from regsync.cli.main import HELP_OPTIONS, root
from regsync.reconcile.standing import Ended, Ending, Standing
from regsync.report import metrics as daemon_metrics
from regsync.server import exposition as server_metrics
from regsync.server.garbage import Collected
from regsync.server.metrics import RequestMetrics, Requests
from regsync.spec.load import load
from regsync.store.queries import StoreStats
from tests.support import tools

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = ("cron", "daemon", "registry")
NOT_OURS = re.compile(r"(kube|kubelet)_\w+|up")
OF_THE_OPERATOR = {
    "ServiceMonitor",
    "PrometheusRule",
}  # kinds of the Prometheus operator: no schema comes with Kubernetes
NOW = datetime(2026, 1, 1, tzinfo=UTC)

Object = dict[str, Any]


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rendered(overlay: str, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    kustomize = tools.Tool(tools.require("kustomize"), tmp_path_factory.mktemp("home"))
    return list(yaml.safe_load_all(kustomize("build", MANIFESTS / "overlays" / overlay)))


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Each pod template with the name of what makes it."""
    for one in objects:
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template is not None:
            yield one["metadata"]["name"], template


def test_every_object_fits_its_schema(rendered: list[Object]) -> None:
    for one in rendered:
        if one["kind"] not in OF_THE_OPERATOR:
            kubernetes_validate.validate(one, "1.37", strict=True)


def test_everything_is_in_one_namespace_that_admits_restricted_pods_alone(rendered: list[Object]) -> None:
    (namespace,) = of_kind(rendered, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for one in rendered:
        if one["kind"] not in ("Namespace", "ClusterRole", "ClusterRoleBinding"):
            assert one["metadata"]["namespace"] == namespace["metadata"]["name"], one["metadata"]["name"]


def test_pods_are_restricted_and_bounded(rendered: list[Object]) -> None:
    found = list(pods(rendered))
    assert found
    for name, pod in found:
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] == 10001, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["spec"]["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def selectors(objects: list[Object]) -> Iterator[tuple[str, Mapping[str, str], list[Mapping[str, str]]]]:
    """What selects, its labels, and the sets of labels among which one has to match."""
    labels_of_pods = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    for one in objects:
        name, spec = f"{one['kind']} {one['metadata']['name']}", one.get("spec", {})
        match one["kind"]:
            case "Service":
                yield name, spec["selector"], labels_of_pods
            case "Deployment" | "StatefulSet":
                yield name, spec["selector"]["matchLabels"], [spec["template"]["metadata"]["labels"]]
            case "PodDisruptionBudget":
                yield name, spec["selector"]["matchLabels"], labels_of_pods
            case "NetworkPolicy":
                yield name, spec["podSelector"].get("matchLabels", {}), labels_of_pods
            case "ServiceMonitor":
                services = [service["metadata"]["labels"] for service in of_kind(objects, "Service")]
                yield name, spec["selector"]["matchLabels"], services


def test_selectors_select_something(rendered: list[Object]) -> None:
    for name, wanted, candidates in selectors(rendered):
        assert any(wanted.items() <= labels.items() for labels in candidates), name


def test_ports_that_are_named_exist(rendered: list[Object]) -> None:
    containers = [container for _, pod in pods(rendered) for container in pod["spec"]["containers"]]
    named = {port["name"] for container in containers for port in container.get("ports", ())}
    for service in of_kind(rendered, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    for container in containers:
        probes = [value for key, value in container.items() if key.endswith("Probe")]
        assert {probe["httpGet"]["port"] for probe in probes} <= named
    of_services = {
        port["name"] for service in of_kind(rendered, "Service") for port in service["spec"]["ports"]
    }
    for monitor in of_kind(rendered, "ServiceMonitor"):
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= of_services


def test_what_pods_mount_is_there_or_said_to_be_made_by_hand(overlay: str, rendered: list[Object]) -> None:
    names = {kind: {one["metadata"]["name"] for one in of_kind(rendered, kind)} for kind in KINDS_MOUNTED}
    said = (MANIFESTS / "overlays" / overlay / "kustomization.yaml").read_text(encoding="utf-8")
    for name, pod in pods(rendered):
        spec = pod["spec"]
        assert spec["serviceAccountName"] in names["ServiceAccount"], name
        for volume in spec["volumes"]:
            match volume:
                case {"configMap": {"name": wanted}}:
                    assert wanted in names["ConfigMap"]
                case {"persistentVolumeClaim": {"claimName": wanted}}:
                    assert wanted in names["PersistentVolumeClaim"]
                case {"secret": {"secretName": wanted, **rest}}:
                    assert rest.get("optional") or wanted in said, f"{name} needs the secret {wanted}"
        mounted = {mount["name"] for one in spec["containers"] for mount in one["volumeMounts"]}
        claims = {"data"} if name == "regsync-serve" else set()
        assert mounted == {volume["name"] for volume in spec["volumes"]} | claims, name


KINDS_MOUNTED = ("ServiceAccount", "ConfigMap", "PersistentVolumeClaim")


def test_command_lines_are_ones_that_the_program_takes(rendered: list[Object]) -> None:
    for name, pod in pods(rendered):
        (container,) = pod["spec"]["containers"]
        verb, *arguments = container["args"]
        command = root.get_command(click.Context(root), verb)
        assert command is not None, f"{name}: regsync {verb}"
        with command.make_context(
            verb, list(arguments), parent=click.Context(root, help_option_names=HELP_OPTIONS)
        ) as context:
            directories = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {str(path) for path in context.params["paths"]} <= directories, name


def test_specs_in_config_maps_are_valid(rendered: list[Object], tmp_path: Path) -> None:
    for one in of_kind(rendered, "ConfigMap"):
        for key, text in one["data"].items():
            (tmp_path / key).write_text(text)
        spec = load([tmp_path])
        assert spec.mirrors or spec.server is not None


def exported() -> dict[str, dict[str, set[str]]]:
    """The samples of both metrics pages with the values that their labels have."""
    ended = Ended("run", Ending.DONE, NOW, NOW)
    standing = Standing(NOW, last_success=NOW, last=ended)
    standing.runs.update(Ending)
    state = daemon_metrics.DaemonState(
        now=NOW,
        mirrors={"app": standing},
        retention={"previews": standing},
        due={"app": NOW},
        running=frozenset(),
        holds_lease=True,
        ledger_works=True,
        spec_is_current=True,
        spec_taken=NOW,
        requests={("hub", "manifest"): 1},
        quotas={"docker.io": 100},
        hooks={202: 1, 401: 1},
    )
    requests = RequestMetrics(Collected())
    requests.kinds[("blob", "GET")] = Requests(statuses={200: 1, 503: 1})
    requests.pulls = {("hub", outcome): 1 for outcome in ("failed", "stale", "refused")}
    gauges = server_metrics.Gauges(0, 0, audit_failing=False, storage=STATS, free=1)
    found: dict[str, dict[str, set[str]]] = {}
    for page in (daemon_metrics.exposition(state), server_metrics.exposition(requests, gauges)):
        for family in text_string_to_metric_families(page.decode()):
            for sample in family.samples:
                values = found.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    values.setdefault(label, set()).add(value)
    return found


STATS = StoreStats(*([0] * 6))
ADDED = {"namespace", "pod", "service"}  # labels that the operator adds


def test_alerts_ask_for_metrics_and_labels_that_there_are(rendered: list[Object]) -> None:
    known = exported()
    alerts = [
        alert
        for rule in of_kind(rendered, "PrometheusRule")
        for group in rule["spec"]["groups"]
        for alert in group["rules"]
    ]
    assert alerts
    for alert in alerts:
        found: list[promql_parser.VectorSelector] = []
        _walk(alert["expr"], found)
        for selector in found:
            if NOT_OURS.fullmatch(selector.name):
                continue
            assert selector.name in known, alert["alert"]
            for matcher in selector.matchers.matchers:
                if matcher.name in ADDED:
                    continue
                values = known[selector.name].get(matcher.name, set())
                wanted = matcher.value.split("|")
                assert set(wanted) <= values, f"{alert['alert']}: {matcher.name}={matcher.value}"
        ours = [selector.name for selector in found if not NOT_OURS.fullmatch(selector.name)]
        shown = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
        if ours:
            assert shown <= set().union(*(known[name] for name in ours)) | ADDED, alert["alert"]


def _walk(expression: str, found: list[promql_parser.VectorSelector]) -> None:
    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)


def test_the_alerts_are_there_that_somebody_needs_at_night() -> None:
    text = (MANIFESTS / "components" / "monitoring-run" / "alerts.yaml").read_text(encoding="utf-8")
    for name in ("Stale", "Failing", "Blocked", "Drift", "WithoutLease", "LedgerVolumeFull"):
        assert f"alert: Regsync{name}" in text
