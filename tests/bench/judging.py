"""The row of policies: one CEL condition over a scan of 900 vulnerabilities, worker process included."""

import resource
import time
from datetime import UTC, datetime

from regsync.oci.digest import Digest
from regsync.trust.envelopes import Image, Signer
from regsync.trust.expressions import Expressions, Variables
from tests.bench.measure import Usage
from tests.bench.rows import Goal, Outcome, Result, Run, Settings
from tests.support.images import as_json

VULNERABILITIES = 900
SHORT_ROUNDS = 50  # of what takes milliseconds
CONDITION = 'predicate.scanner.result.Results.all(r, r.Vulnerabilities.all(v, v.Severity != "CRITICAL"))'


def condition(settings: Settings) -> Outcome:
    """Evaluate it again and again, as a run does for one image after the other."""
    result = Result("regsync")
    variables, expressions = _variables(), Expressions()
    expressions.check(CONDITION)
    for _ in range(max(settings.rounds, SHORT_ROUNDS)):
        began, cpu = time.perf_counter(), time.process_time()
        unmet = expressions.unmet([CONDITION], variables)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        assert unmet is None, unmet
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        result.runs.append(Run(Usage(seconds, used, peak, 0)))
    title = f"one CEL condition over {VULNERABILITIES} vulnerabilities"
    outcome = Outcome("condition", title, [result], (Goal(0.005),))
    outcome.notes.append(
        f"median {result.seconds * 1000:.2f} ms of {len(result.runs)} evaluations; goal 5 ms"
    )
    return outcome


def _variables() -> Variables:
    found = [
        {
            "VulnerabilityID": f"CVE-2026-{number}",
            "PkgName": "openssl",
            "InstalledVersion": "3.0.1",
            "FixedVersion": "3.0.2",
            "Severity": "HIGH",
            "Title": "a title of some fifty characters, as they often are",
            "Description": "what it is about. " * 30,
            "PrimaryURL": f"https://nvd.example/CVE-2026-{number}",
            "References": [f"https://refs.example/{number}/{one}" for one in range(5)],
        }
        for number in range(VULNERABILITIES)
    ]
    statement = {"predicate": {"scanner": {"result": {"Results": [{"Vulnerabilities": found}]}}}}
    image = Image("hub", "acme/app", "v1", Digest.of(b"app"))
    now = datetime(2026, 11, 24, tzinfo=UTC)
    return Variables(statement, as_json(statement), Signer("ci", "id"), now, image, now)
