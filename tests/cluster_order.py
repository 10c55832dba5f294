"""In which order the files of ``tests/cluster`` run: what comes later disturbs more."""

from __future__ import annotations

# These leave alone what others use, and may run beside any test but those of the load.
PASSIVE = (
    "test_supply.py", "test_import_model.py", "test_releases.py", "test_gpu.py",
    "test_network.py", "test_prometheus_api.py", "test_live_upstream.py", "test_chat_client.py",
    "test_protocols.py", "test_images_work.py",
)  # fmt: skip
# These change the cluster, its models or its rules, so that one runs after another.
ACTIVE = (
    "test_lifecycle.py", "test_followed_request.py", "test_serving.py",
    "test_malicious_models.py", "test_model_life.py", "test_live_canary.py",
    "test_registry_data.py", "test_alerts.py",
)  # fmt: skip
# These need the machine alone: they run the load test, or read what it left.
LOADED = (
    "test_loadtest.py", "test_live_dashboards.py", "test_autoscaling_signals.py",
    "test_load_observers.py", "test_loadtest_fails.py",
)  # fmt: skip
ORDER = (*PASSIVE, *ACTIVE, *LOADED)
