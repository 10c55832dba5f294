"""What doctor says of ports, tools, supplies, certificates and the clock."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from certifi import where
from doctor_fakes import NOW, known, make_context, programs, unanswered

from kindling.doctor import ports, supply, tools
from kindling.doctor.check import Check
from kindling.doctor.machine import Done, Machine
from kindling.doctor.web import Answer, ask, without_credentials


def by_name(checks: Sequence[Check]) -> dict[str, Check]:
    return {check.name.removeprefix("supply: "): check for check in checks}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (0, "ok", "8080 is free"),
        (errno.EADDRINUSE, "warn", "the next free one is used"),
        (errno.EACCES, "fail", "only for root"),
    ],
)
def test_a_port(tmp_path: Path, error: int, status: str, said: str) -> None:
    (check,) = ports.ports(make_context(tmp_path), lambda _: error)
    assert check.status == status
    assert said in check.found


def test_a_port_that_our_cluster_holds_is_no_trouble(tmp_path: Path) -> None:
    context = make_context(tmp_path, facts=known())
    (check,) = ports.ports(context, lambda _: errno.EADDRINUSE)
    assert (check.status, check.found) == ("ok", "8080 is the cluster's")


def test_who_listens_on_a_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ports.bind_error(port) == errno.EADDRINUSE
        assert f"(pid {os.getpid()})" in ports.holder_of(Machine(), port)
    assert ports.bind_error(port) == 0
    assert ports.holder_of(Machine(), port) == ""


@pytest.mark.parametrize(
    ("name", "printed", "said"),
    [
        ("kubectl", "Client Version: v1.35.1", "v1.35.1 at"),
        ("kubectl", "Client Version: v1.34.9", "yours stays untouched"),
        ("kind", "kind v0.33.0 go1.26", "v0.33.0 at"),
        ("kind", "kind v0.20.0 go1.20", "v0.33.0 is downloaded or built"),
        ("helm", "v2.17.0", "v3.22.0 is downloaded or built"),
        ("helm", "nonsense", "does not tell its version"),
    ],
)
def test_a_tool_that_does_not_fit_is_told_and_never_fails(
    tmp_path: Path, name: str, printed: str, said: str
) -> None:
    check = tools.tool(make_context(tmp_path, run=programs(**{name: printed})), name)
    assert check.status == "ok"
    assert said in check.found


def test_a_tool_that_is_missing_is_told(tmp_path: Path) -> None:
    check = tools.tool(make_context(tmp_path, which=lambda _: None), "helm")
    assert check.found == "not on PATH: v3.22.0 is downloaded or built"


def test_auto_takes_the_registry_when_it_answers(tmp_path: Path) -> None:
    found = by_name(supply.supplies(make_context(tmp_path)))
    assert found["supply"].found == "auto takes registry: it answers"
    assert all(check.status == "ok" for check in found.values())


def test_auto_takes_packages_when_no_registry_answers(tmp_path: Path) -> None:
    found = by_name(supply.supplies(make_context(tmp_path, registry_answers=lambda _: False)))
    assert found["supply"].found.startswith("auto takes packages")
    assert found["registry"].status == "skip"


def test_auto_prefers_a_mirror(tmp_path: Path) -> None:
    context = make_context(tmp_path, variables={"images_mirror": "mirror.example:5000"})
    assert by_name(supply.supplies(context))["supply"].found == "auto takes mirror: it answers"


@pytest.mark.parametrize("wanted", ["registry", "mirror"])
def test_a_chosen_registry_that_is_silent_fails(tmp_path: Path, wanted: str) -> None:
    variables = {"images_supply": wanted, "images_mirror": "mirror.example:5000"}
    context = make_context(tmp_path, variables=variables, registry_answers=lambda _: False)
    found = by_name(supply.supplies(context))
    other = {"registry": "mirror", "mirror": "registry"}[wanted]
    assert (found[wanted].status, found[other].status) == ("fail", "skip")


def test_chosen_packages_that_are_silent_fail_each_with_its_fix(tmp_path: Path) -> None:
    context = make_context(tmp_path, variables={"images_supply": "packages"}, ask=unanswered)
    found = by_name(supply.supplies(context))
    for name in ("Go modules", "Python packages", "Debian packages"):
        assert found[name].status == "fail"
        assert found[name].fix
    assert found["registry"].status == "ok"


def test_with_a_registry_silent_packages_only_matter_for_what_is_built(tmp_path: Path) -> None:
    found = by_name(supply.supplies(make_context(tmp_path, ask=unanswered)))
    names = ("Go modules", "Python packages", "Debian packages")
    assert [found[name].status for name in names] == ["warn", "warn", "skip"]


def test_a_cluster_that_is_there_needs_no_supply(tmp_path: Path) -> None:
    context = make_context(
        tmp_path, variables={"images_supply": "packages"}, ask=unanswered, facts=known()
    )
    assert by_name(supply.supplies(context))["Go modules"].status == "warn"


def test_clients_are_asked_at_the_addresses_of_their_own_configuration(tmp_path: Path) -> None:
    asked: list[str] = []

    def note(url: str, **_: object) -> Answer:
        asked.append(url)
        return Answer(200, "HTTP 200", NOW)

    checks = supply.supplies(make_context(tmp_path, ask=note))
    assert sorted(asked) == [
        "http://apt.example/debian/dists/stable/InRelease",
        "https://go.example/sigs.k8s.io/kind/@v/v0.33.0.info",
        "https://user:hidden@pip.example/simple/pip/",
    ]
    assert "hidden" not in json.dumps([vars(check) for check in checks])


def test_the_environment_wins_over_pips_files(tmp_path: Path) -> None:
    lines = ":env:.index-url='https://env.example/'\nglobal.index-url='https://file.example/'\n"
    found = by_name(supply.supplies(make_context(tmp_path, run=programs(pip_config=lines))))
    assert found["Python packages"].found == "https://env.example/ answers"


@pytest.mark.parametrize("value", ["off", "direct"])
def test_a_go_proxy_that_is_none(tmp_path: Path, value: str) -> None:
    context = make_context(
        tmp_path, variables={"images_supply": "packages"}, env={"GOPROXY": value}
    )
    status = by_name(supply.supplies(context))["Go modules"].status
    assert status == {"off": "fail", "direct": "skip"}[value]


def test_the_go_proxy_is_unknown_until_go_is_there(tmp_path: Path) -> None:
    context = make_context(tmp_path, which=lambda _: None)
    assert by_name(supply.supplies(context))["Go modules"].status == "skip"


def test_an_apt_without_archives_fails_where_packages_are_chosen(tmp_path: Path) -> None:
    run = programs(**{"apt-get": Done(100, "", "broken")})
    context = make_context(tmp_path, run=run, variables={"images_supply": "packages"})
    assert by_name(supply.supplies(context))["Debian packages"].status == "fail"


def test_bundle_is_said_to_be_missing(tmp_path: Path) -> None:
    context = make_context(tmp_path, variables={"images_supply": "bundle"})
    assert by_name(supply.supplies(context))["supply"].status == "fail"


@pytest.mark.parametrize(
    ("behind", "status"), [(0, "ok"), (299, "ok"), (301, "fail"), (-301, "fail")]
)
def test_the_clock_is_compared_with_who_answers(tmp_path: Path, behind: int, status: str) -> None:
    context = make_context(tmp_path, ask=lambda *_, **__: Answer(200, "", NOW + behind))
    assert by_name(supply.supplies(context))["clock"].status == status


@pytest.mark.parametrize(("year", "status"), [(2020, "skip"), (2099, "fail")])
def test_a_clock_before_the_archives_signature_fails(
    tmp_path: Path, year: int, status: str
) -> None:
    release = {"var/lib/apt/lists/x_InRelease": f"Date: Sat, 01 Aug {year} 10:00:00 UTC\n"}
    context = make_context(tmp_path, files=release, ask=unanswered)
    assert by_name(supply.supplies(context))["clock"].status == status


@pytest.mark.parametrize(("env", "status"), [({}, "ok"), ({"PIP_CERT": "/no/such.pem"}, "fail")])
def test_a_ca_bundle_must_be_readable(tmp_path: Path, env: dict[str, str], status: str) -> None:
    assert supply.certificates(make_context(tmp_path, env=env)).status == status


def test_a_ca_bundle_that_can_be_read_is_named_and_an_empty_one_fails(tmp_path: Path) -> None:
    full, empty = where(), tmp_path / "empty.pem"
    empty.write_text("")
    checks = [
        supply.certificates(make_context(tmp_path, env={"SSL_CERT_FILE": str(file)}))
        for file in (full, empty)
    ]
    assert [check.status for check in checks] == ["ok", "fail"]
    assert f"SSL_CERT_FILE={full}: builds get it as a secret" in checks[0].found


def test_nothing_is_asked_but_over_http_and_silence_is_an_answer() -> None:
    assert ask("file:///etc/passwd").code == 0
    assert ask("http://127.0.0.1:1/", seconds=0.5).useful is False


def test_credentials_are_never_shown() -> None:
    assert without_credentials("https://me:secret@host:1/p?q=1") == "https://host:1/p?q=1"


@pytest.mark.parametrize(
    ("code", "useful"), [(200, True), (302, True), (401, True), (403, False), (0, False)]
)
def test_which_answers_promise_packages(code: int, useful: bool) -> None:
    assert Answer(code, "").useful is useful
