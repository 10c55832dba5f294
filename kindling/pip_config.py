"""What pip is configured with on this machine, and the same for uv; standard library only.

uv reads neither pip's files nor its variables, and what a company told pip must hold for it too.
"""

from __future__ import annotations

import ast
import json
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kindling import paths

# Later ones win, as they do in pip.
_SECTIONS = ("global", "install", ":env:")
_PORTS = {"http": 80, "https": 443}
_TRUE = ("1", "true", "yes", "on")


def command() -> list[str]:
    """What prints pip's options, for ``parse``."""
    return [str(paths.nox_python()), "-m", "pip", "config", "list"]


def default_index_command() -> list[str]:
    """What prints the index that pip asks where no option names one."""
    script = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    return [str(paths.nox_python()), "-c", script]


def load() -> dict[str, str]:
    """Pip's options on this machine."""
    done = subprocess.run(command(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return parse(done.stdout)


def parse(listed: str) -> dict[str, str]:
    """Options by name, out of what ``pip config list`` prints."""
    sections: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in sections and value[:1] in ("'", '"'):
            sections[section][option] = str(ast.literal_eval(value))
    return {option: value for name in _SECTIONS for option, value in sections[name].items()}


def asks_no_index(config: Mapping[str, str]) -> bool:
    """Whether pip takes packages from ``find-links`` alone."""
    return config.get("no-index", "").lower() in _TRUE


def address() -> tuple[str, int] | None:
    """Name and port that pip connects to: the index, or the proxy on the way to it.

    None where pip is configured with no index, or with one on this host's loopback.
    """
    config = load()
    if asks_no_index(config):
        return None
    index = config.get("index-url") or _default_index()
    scheme = index.partition("://")[0]
    # urllib tells what of the environment counts for this scheme and host.
    host = urlsplit(index).hostname or ""
    proxies = {} if proxy_bypass(host) else getproxies()
    proxy = config.get("proxy") or proxies.get(scheme, "")
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else urlsplit(index)
    if url.hostname in (None, "localhost", "127.0.0.1", "::1"):
        return None
    return str(url.hostname), url.port or _PORTS.get(url.scheme, 443)


def _default_index() -> str:
    done = subprocess.run(default_index_command(), capture_output=True, text=True)
    return done.stdout.strip()


def uv_variables(config: Mapping[str, str]) -> dict[str, str]:
    """The environment that makes uv ask the same index in the same way."""
    variables = {
        "UV_DEFAULT_INDEX": config.get("index-url", ""),
        "UV_INDEX": " ".join(config.get("extra-index-url", "").split()),
        # Pip takes a version from whichever index has it; which file it is, its hash says.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": ",".join(config.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(config.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": config.get("timeout") or config.get("default-timeout", ""),
        "UV_HTTP_RETRIES": config.get("retries", ""),
        "UV_SYSTEM_CERTS": "true" if _has_system_certificates() else "",
        "SSL_CERT_FILE": config.get("cert", ""),
        "SSL_CLIENT_CERT": config.get("client-cert", ""),
    }
    if config.get("keyring-provider") == "subprocess":
        variables["UV_KEYRING_PROVIDER"] = "subprocess"
    if proxy := config.get("proxy", ""):
        address = proxy if "://" in proxy else f"http://{proxy}"
        names = ("http_proxy", "https_proxy")
        variables |= {name: address for each in names for name in (each, each.upper())}
    return {name: value for name, value in variables.items() if value}


def uv_toml(config: Mapping[str, str]) -> str:
    """The same for a uv in a container, as a uv.toml; empty where pip's defaults hold."""
    options: dict[str, object] = {
        "allow-insecure-host": config.get("trusted-host", "").split(),
        "find-links": [link for link in config.get("find-links", "").split() if "://" in link],
        "no-index": asks_no_index(config),
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items() if value]
    indexes = [(url, False) for url in config.get("extra-index-url", "").split()]
    indexes += [(config["index-url"], True)] if "index-url" in config else []
    if indexes:
        lines.append('index-strategy = "unsafe-best-match"')
    for url, default in indexes:
        lines += ["[[index]]", f"url = {json.dumps(url)}", f"default = {json.dumps(default)}"]
    return "\n".join(lines)


def _has_system_certificates() -> bool:
    default = ssl.get_default_verify_paths()
    return any(Path(place).exists() for place in (default.cafile, default.capath) if place)
