"""`cluster-up` again, after a restart of every node, and beside another run."""

from __future__ import annotations

import subprocess
import urllib.request

from conftest import Cluster, eventually, kindling

from kindling import lock


def up(*arguments: str) -> subprocess.CompletedProcess[str]:
    return kindling("run", "up", *arguments)


def answers(cluster: Cluster) -> bool:
    try:
        with urllib.request.urlopen(f"{cluster.url}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_second_run_changes_nothing_and_says_so(cluster: Cluster) -> None:
    done = up()
    if "changed=0 failed=0" not in done.stdout:
        # What an earlier test did may have needed putting right.
        done = up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0 failed=0" in done.stdout


def test_a_run_in_check_mode_predicts_no_change(cluster: Cluster) -> None:
    done = up("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0 failed=0" in done.stdout


def test_a_run_beside_another_is_refused_and_touches_nothing(cluster: Cluster) -> None:
    before = cluster.engine.run("ps", "--all", "--quiet")
    with lock.hold("cluster-up"):
        done = up()
    assert done.returncode == 1
    assert "cluster-up is already running" in done.stderr
    assert "Traceback" not in done.stderr
    assert cluster.engine.run("ps", "--all", "--quiet") == before


def test_other_pools_than_those_of_the_cluster_are_refused(cluster: Cluster) -> None:
    done = up("-e", "cluster_node_pools=[{name: control-plane, role: control-plane}]")
    assert done.returncode == 1
    assert "node pools" in done.stdout
    assert "nox -s cluster-down" in done.stdout
    assert answers(cluster)


def test_after_a_restart_of_every_node_the_same_command_brings_it_back(cluster: Cluster) -> None:
    cluster.engine.run("restart", "--timeout=5", *cluster.nodes)
    done = up()
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: answers(cluster), seconds=60, what="the service answers")


def test_stopped_nodes_are_started_again(cluster: Cluster) -> None:
    cluster.engine.run("stop", "--timeout=5", *cluster.nodes)
    done = up()
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: answers(cluster), seconds=60, what="the service answers")
