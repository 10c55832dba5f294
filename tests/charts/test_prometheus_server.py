"""The real Prometheus with the chart's arguments: they are valid, it has a page, reloads rules."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling import charts, paths, web
from kindling.prometheus import Prometheus
from kindling.supply.recipes import Programs
from kindling.supply.store import Store, build_all
from kindling.supply.versions import load

IMAGE = paths.REPOSITORY / "images" / "prometheus"
RULES = {"groups": [{"name": "g", "rules": [{"alert": "Stays", "expr": "vector(1)", "for": "1h"}]}]}
ADDED = {"alert": "Added", "expr": "vector(0) > 1"}


@dataclass
class Server:
    """A running one; ``rules`` is a folder as a kubelet makes it of a ConfigMap."""

    url: str
    process: subprocess.Popen[bytes]
    rules: Path
    log: Path

    @property
    def api(self) -> Prometheus:
        return Prometheus(self.url)

    def mount(self, name: str, content: Any) -> None:
        """Change all files of the folder at once."""
        data = self.rules / name
        data.mkdir(parents=True)
        (data / "rules.yml").write_text(yaml.safe_dump(content))
        new = self.rules / "new"
        new.symlink_to(name)
        new.replace(self.rules / "..data")
        if not (self.rules / "rules.yml").is_symlink():
            (self.rules / "rules.yml").symlink_to("..data/rules.yml")

    def get(self, path: str) -> tuple[str, str]:
        """The address that ``path`` leads to, and what is there."""
        with web.without_proxy().open(f"{self.url}{path}", timeout=30) as response:
            return response.url.removeprefix(self.url), response.read().decode()


def eventually(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited 60 s until {what}: {log.read_text()[-3000:]}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def binary() -> Path:
    store, step = Store(paths.store_dir()), Programs(load()).monitoring
    build_all([step], store, workers=1)
    return store.path(step) / "prometheus"


@pytest.fixture(scope="module")
def server(
    template: Callable[..., list[dict[str, Any]]],
    binary: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    tmp_path = tmp_path_factory.mktemp("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    given = {"externalUrl": url, "rules": {"runbooks": {"Stays.md": "# Stays\n"}}}
    made = {
        f"{one['kind']}/{one['metadata']['name']}": one
        for one in template(charts.CHARTS / "prometheus", given)
    }
    (container,) = made["StatefulSet/prometheus"]["spec"]["template"]["spec"]["containers"]
    # What the volumes and the image have.
    config = yaml.safe_load(made["ConfigMap/prometheus"]["data"]["prometheus.yml"])
    assert config["rule_files"] == ["/etc/prometheus/rules/*.yml"]
    config |= {"rule_files": [f"{tmp_path}/rules/*.yml"], "scrape_configs": []}
    del config["alerting"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    runbooks = tmp_path / "kindling/docs/runbooks"
    runbooks.mkdir(parents=True)
    for name, text in made["ConfigMap/prometheus-runbooks"]["data"].items():
        (runbooks / name).write_text(text)
    page = tmp_path / "static/mantine-ui/index.html"
    page.parent.mkdir(parents=True)
    page.write_text((IMAGE / "index.html").read_text())
    places = {
        "--config.file=/etc/prometheus/prometheus.yml": f"--config.file={tmp_path}/prometheus.yml",
        "--storage.tsdb.path=/prometheus": f"--storage.tsdb.path={tmp_path}/data",
        "--web.user-assets=/etc/kindling": f"--web.user-assets={tmp_path}/kindling",
    }
    assert places.keys() <= set(container["args"])
    arguments = [places.get(one, one) for one in container["args"]]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [binary, *arguments, f"--web.listen-address=127.0.0.1:{port}"],
            cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    found = Server(url, process, tmp_path / "rules", log)
    found.mount("first", RULES)
    try:
        eventually(lambda: answers(url) or process.poll() is not None, "it is ready", log)
        assert process.poll() is None, log.read_text()
        yield found
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_changed_rules_are_reloaded_and_alerts_pend_on(server: Server) -> None:
    def names() -> list[str]:
        groups = server.api.get("rules")["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    def pending() -> list[str]:
        return [one["activeAt"] for one in server.api.alerts() if one["state"] == "pending"]

    # The first ones may have been written after it had looked for the first time.
    eventually(lambda: names() == ["Stays"], "it has the rules", server.log)
    eventually(lambda: bool(pending()), "the alert pends", server.log)
    since = pending()
    rules = [*RULES["groups"][0]["rules"], ADDED]  # type: ignore[list-item]
    server.mount("second", {"groups": [{"name": "g", "rules": rules}]})
    eventually(lambda: names() == ["Stays", "Added"], "it has the new rule too", server.log)
    eventually(lambda: bool(pending()), "the alert pends again", server.log)
    assert pending() == since
    assert server.process.poll() is None


def test_what_is_printed_and_linked_opens_in_a_browser(server: Server) -> None:
    page = (IMAGE / "index.html").read_text()
    assert server.get("/") == ("/query", page)
    # So an alert's source is linked.
    assert server.get("/graph?g0.expr=up&g0.tab=1") == ("/query?g0.expr=up&g0.tab=1", page)
    for path in ("/alerts", "/targets", "/rules"):
        assert server.get(path)[1] == page
    assert server.get("/user/docs/runbooks/Stays.md")[1] == "# Stays\n"
    flags = server.api.get("status/flags")
    assert flags["web.external-url"] == server.url


def test_the_page_asks_for_what_the_api_has_and_loads_nothing_from_elsewhere(
    server: Server,
) -> None:
    page = (IMAGE / "index.html").read_text()
    asked = re.findall(r"api\('(\w+)', (\{[^}]*\})\)", page)
    assert {name for name, _ in asked} == {"query", "rules", "targets"}
    assert "alerts" in json.dumps(server.api.get("rules", type="alert"))
    assert server.api.get("targets", state="active")["activeTargets"] == []
    assert not re.findall(r"(?:src|href)=|@import|innerHTML", page)


def test_the_image_has_the_page_where_prometheus_looks_for_it() -> None:
    dockerfile = (IMAGE / "Dockerfile").read_text()
    assert "COPY --chmod=0644 index.html /static/mantine-ui/index.html\n" in dockerfile
    # It looks from its working folder.
    assert "WORKDIR /\n" in dockerfile
