"""The load test against a real cluster: its command, its verdict, and what it leaves behind."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree

from conftest import Cluster
from loading import LoadTest, loadtest
from monitored import Monitoring

from loadtests.challenger import MODEL
from loadtests.observers.objects import unix
from loadtests.report.document import read

FAULTY = {"model": MODEL}


def test_it_passes_scales_and_fires_an_alert(load_test: LoadTest) -> None:
    done, report = load_test.done, load_test.report
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert report["verdict"] == "passed"
    assert {check["status"] for check in report["checks"]} == {"passed"}
    assert [one["name"] for one in report["scenarios"]] == ["scale", "alerts"]
    assert report["totals"]["replicas"]["max"] == load_test.before.autoscaler["maxReplicas"]
    suites = ElementTree.parse(load_test.folder / "junit.xml").getroot()
    assert {suite.get("failures") for suite in suites} == {"0"}


def test_it_leaves_autoscaler_models_and_rules_as_they_were(load_test: LoadTest) -> None:
    assert load_test.after == load_test.before


def test_a_faulty_model_fires_high_error_rate_until_it_is_rolled_back(
    cluster: Cluster, load_test: LoadTest
) -> None:
    timeline = load_test.timeline
    (promoted,) = (one.time for one in timeline.of("action", "promote"))
    (rolled_back,) = (one.time for one in timeline.of("action", "rollback"))
    (*_, traffic) = timeline.of("metrics", "requests", until=promoted)
    assert traffic.fields["value"] > 1, "nobody asked the model that nothing was wrong with"
    seen = [
        one
        for one in timeline.of("alert", "HighErrorRate")
        if FAULTY.items() <= one.fields["labels"].items()
    ]
    before = {one.fields["state"] for one in seen if one.time <= promoted}
    assert "firing" not in before
    # Rules that are as long as before look at the same failures once more, and may pend again.
    pending, firing, over, *_ = (one for one in seen if one.time > promoted)
    states = [one.fields["state"] for one in (pending, firing, over)]
    assert states == ["pending", "firing", "inactive"]
    assert firing.time < rolled_back < over.time

    told = Monitoring(cluster)
    (notified, *_) = told.notified("HighErrorRate", "firing", load_test.began, **FAULTY)
    assert notified["labels"]["severity"] == "critical"
    assert notified["annotations"]["runbook_url"].endswith("docs/runbooks/HighErrorRate.md")
    assert told.notified("HighErrorRate", "resolved", rolled_back, **FAULTY)


def test_prometheus_reloads_the_rules_and_runs_on(cluster: Cluster, load_test: LoadTest) -> None:
    """A restart would be a gap in what is known, and alerts that pend would begin anew."""
    pod = cluster.kubectl.get("pod", "prometheus-0", "--namespace=kindling")
    (container,) = pod["status"]["containerStatuses"]
    assert unix(container["state"]["running"]["startedAt"]) < load_test.began


def test_failures_on_purpose_are_not_in_the_error_budget(
    cluster: Cluster, load_test: LoadTest
) -> None:
    # Tests before it have models fail, too, some minutes ago.
    (promoted,) = (one.time for one in load_test.timeline.of("action", "promote"))
    window = f"{time.time() - promoted:.0f}s"
    known = Monitoring(cluster)
    failed = f'sum(increase(llm_requests_total{{model="{MODEL}",status="500"}}[{window}]))'
    assert (known.value(failed) or 0) > 10
    counted = (
        f'max_over_time(namespace:llm_request_errors:rate5m{{namespace="kindling"}}[{window}])'
    )
    assert known.value(counted) == 0


def test_pods_of_the_cluster_send_the_load_and_are_gone_then(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = loadtest(tmp_path, "smoke", "--pods=2", "--rate=20", "--users=8", "--seconds=10")
    assert done.returncode == 0, done.stdout + done.stderr
    report = read(tmp_path)
    assert report["verdict"] == "passed"
    assert report["generator"]["about"] == {"processes": 2, "where": "2 pods of the cluster"}
    assert report["totals"]["requests"] == 200
    kinds = "deployments,networkpolicies,serviceaccounts"
    selector = "--selector=app.kubernetes.io/name=load-generator"
    assert not cluster.kubectl.items(kinds, "--namespace=kindling", selector)
    helm = cluster.kubectl.items("secrets", "--namespace=kindling", "--selector=owner=helm")
    assert "load-generator" not in {secret["metadata"]["labels"]["name"] for secret in helm}
