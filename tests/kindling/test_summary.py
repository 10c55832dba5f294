"""The closing table of ``cluster-up``."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_fakes import FACTS

from kindling import cluster, settings, summary

_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, False),
        ({"http_proxy": "http://proxy.example.com:3128"}, True),
        ({"ALL_PROXY": "http://proxy.example.com:3128"}, True),
        ({"http_proxy": "http://proxy.example.com:3128", "no_proxy": "127.0.0.1"}, False),
    ],
)
def test_its_command_reaches_the_service_past_a_proxy(
    variables: dict[str, str], told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    loaded = settings.load("local")
    ports = dict.fromkeys(("serving", "mlflow", "dashboards", "prometheus", "alertmanager"), 8080)
    cluster.record(loaded.cluster_name, FACTS | {"ports": ports})
    text = summary.render(loaded, {"roles": [], "tasks": []}, 1.0)
    (command,) = (line for line in text.splitlines() if line.startswith("  curl "))
    assert ("--noproxy 127.0.0.1" in command) == told
    assert command.endswith("/predict")
