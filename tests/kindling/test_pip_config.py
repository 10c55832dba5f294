"""What pip is configured with counts for uv too."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from kindling import paths, pip_config


def test_what_pip_prints_is_read_with_the_environment_first() -> None:
    listed = (
        ":env:.index-url='https://env.example/'\n"
        "download.index-url='https://download.example/'\n"
        "global.extra-index-url='\\nhttps://one.example/\\nhttps://two.example/'\n"
        "global.index-url='https://file.example/'\n"
        "install.retries='7'\n"
    )
    assert pip_config.parse(listed) == {
        "extra-index-url": "\nhttps://one.example/\nhttps://two.example/",
        "index-url": "https://env.example/",
        "retries": "7",
    }


def test_lines_that_are_no_option_are_passed_over() -> None:
    assert pip_config.parse("/usr/bin/python3: No module named pip\nglobal.x=\n") == {}


def test_uv_is_told_what_pip_is_told() -> None:
    config = {
        "index-url": "https://user:word@index.example/simple",
        "extra-index-url": "\nhttps://one.example/\nhttps://two.example/",
        "trusted-host": "a.example\nb.example",
        "find-links": "/wheels https://files.example/",
        "cert": "/ca.pem",
        "client-cert": "/client.pem",
        "default-timeout": "180",
        "retries": "7",
        "keyring-provider": "subprocess",
    }
    variables = pip_config.uv_variables(config)
    variables.pop("UV_SYSTEM_CERTS", None)
    assert variables == {
        "UV_DEFAULT_INDEX": "https://user:word@index.example/simple",
        "UV_INDEX": "https://one.example/ https://two.example/",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a.example b.example",
        "UV_FIND_LINKS": "/wheels,https://files.example/",
        "SSL_CERT_FILE": "/ca.pem",
        "SSL_CLIENT_CERT": "/client.pem",
        "UV_HTTP_TIMEOUT": "180",
        "UV_HTTP_RETRIES": "7",
        "UV_KEYRING_PROVIDER": "subprocess",
    }


@pytest.mark.parametrize(
    ("proxy", "address"),
    [("proxy.example:3128", "http://proxy.example:3128"), ("https://proxy.example", None)],
)
def test_pips_proxy_wins_over_the_environments(proxy: str, address: str | None) -> None:
    variables = pip_config.uv_variables({"proxy": proxy})
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        assert variables[name] == (address or proxy)


def test_a_container_is_told_of_what_it_can_reach() -> None:
    config = {
        "index-url": 'https://user:wo"rd@index.example/simple',
        "extra-index-url": "https://one.example/",
        "trusted-host": "a.example b.example",
        "find-links": "/wheels https://files.example/",
    }
    assert tomllib.loads(pip_config.uv_toml(config)) == {
        "index": [
            {"url": "https://one.example/", "default": False},
            {"url": 'https://user:wo"rd@index.example/simple', "default": True},
        ],
        "index-strategy": "unsafe-best-match",
        "allow-insecure-host": ["a.example", "b.example"],
        "find-links": ["https://files.example/"],
    }


def test_a_container_is_told_nothing_where_pip_has_its_defaults() -> None:
    assert pip_config.uv_toml({"cert": "/ca.pem", "retries": "7", "find-links": "/wheels"}) == ""


@pytest.mark.skipif(not paths.nox_python().with_name("pip").exists(), reason="not started by nox")
def test_pip_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://it's.example/\n[install]\nretries = 7\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_TRUSTED_HOST", "a.example b.example")
    found = pip_config.load()
    assert found["index-url"] == "https://it's.example/"
    assert found["retries"] == "7"
    assert found["trusted-host"] == "a.example b.example"


@pytest.mark.parametrize(
    ("config", "environment", "address"),
    [
        ({"index-url": "https://user:word@index.example/simple"}, {}, ("index.example", 443)),
        ({"index-url": "http://index.example:8081/simple"}, {}, ("index.example", 8081)),
        (
            {"index-url": "https://index.example/simple"},
            {"https_proxy": "http://proxy.example:3128"},
            ("proxy.example", 3128),
        ),
        (
            {"index-url": "https://index.example/simple", "proxy": "proxy.example:8080"},
            {},
            ("proxy.example", 8080),
        ),
        (
            {"index-url": "https://index.example/simple"},
            {"https_proxy": "http://proxy.example:3128", "no_proxy": "index.example"},
            ("index.example", 443),
        ),
        ({"index-url": "http://localhost:3141/root/pypi"}, {}, None),
        ({"index-url": "https://index.example/simple", "no-index": "true"}, {}, None),
    ],
)
def test_builds_must_reach_the_index_or_the_proxy_before_it(
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, str],
    environment: dict[str, str],
    address: tuple[str, int] | None,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for each in (name, name.upper()):
            monkeypatch.delenv(each, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pip_config, "load", lambda: config)
    assert pip_config.address() == address
