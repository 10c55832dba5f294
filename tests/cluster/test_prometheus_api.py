"""How the running Prometheus describes its API."""

from __future__ import annotations

import hashlib
import re

import pytest
from conftest import Cluster

from kindling import web

# SHA-256 of web/api/v1/testdata/openapi_*_golden.yaml of Prometheus' module, without what differs
# from one server to the next: its version and its address.
GOLDEN = {
    "3.1": "2ea7d92c29502ceed12c257bef516af55213c29f2ec2906b29ebddba0236d164",
    "3.2": "0ff063533ee2da5798148c1dce16a00c290b616f749474c709c46e9bc44a6aa2",
}


@pytest.mark.parametrize("version", GOLDEN)
def test_the_description_of_the_api_is_that_of_prometheus(cluster: Cluster, version: str) -> None:
    url = f"{cluster.prometheus.url}/api/v1/openapi.yaml?openapi_version={version}"
    with web.without_proxy().open(url, timeout=30) as answer:
        text = answer.read().decode()
    for line in ("    version: ", "    - url: "):
        text = re.sub(f"^{line}.*$", f"{line}X", text, count=1, flags=re.MULTILINE)
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN[version]
