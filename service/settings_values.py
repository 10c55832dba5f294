"""What single settings may be, beyond their types."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, ValidationInfo

from service.package import NAME_PATTERN


def names(value: object) -> object:
    """``"digits, text"`` as a tuple."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of models. Raises ValueError for what is none, and if one is there twice."""
    if not all(re.fullmatch(NAME_PATTERN, name) for name in names):
        raise ValueError("a name has letters, digits, dots, dashes and underscores, up to 63")
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


def address(value: str) -> str:
    """An address without a slash at the end, or nothing. Raises ValueError."""
    if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise ValueError("must be http(s)://HOST[:PORT][/PATH], with user and password apart")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        # What Python says of a bad part repeats it.
        host = None
    if value and not host:
        raise ValueError("has no host, or a port that is none")
    return value.rstrip("/")


def secret_address(value: SecretStr) -> SecretStr:
    """An address as ``address`` has it, without blanks around it. Raises ValueError."""
    text = value.get_secret_value().strip()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must have printable ASCII characters only")
    return SecretStr(address(text))


def bearer_key(value: SecretStr) -> SecretStr:
    """A key that a header can hold, without blanks around it, or none. Raises ValueError."""
    key = value.get_secret_value().strip()
    if not re.fullmatch("[!-~]*", key):
        raise ValueError("must have printable ASCII characters only, and no blanks")
    return SecretStr(key)


def second_port(value: int, info: ValidationInfo) -> int:
    """A port that is not the one to listen on. Raises ValueError."""
    if value and value == info.data.get("listen_port"):
        raise ValueError("must be another port than that of listen_port")
    return value


def own_name(value: str, info: ValidationInfo) -> str:
    """A name that none of the models has. Raises ValueError."""
    url = info.data.get("upstream_url")
    if url and url.get_secret_value() and value in info.data.get("models", ()):
        raise ValueError("is the name of one of the models: take it out of them, or name another")
    return value


def with_path(value: str) -> str:
    """An address that has a path, or nothing. Raises ValueError."""
    if value and not urlsplit(value).path:
        raise ValueError("must have a path, such as /v1/traces")
    return value


def header_pairs(value: SecretStr) -> SecretStr:
    """What ``parse_pairs`` can read. Raises ValueError."""
    pairs = parse_pairs(value)
    if not all(
        re.fullmatch("[A-Za-z0-9-]+", name) and text.isascii() and text.isprintable() and text
        for name, text in pairs.items()
    ):
        raise ValueError("must be NAME=VALUE, separated by commas")
    return value


def parse_pairs(value: SecretStr) -> dict[str, str]:
    """``"NAME=VALUE,NAME=VALUE"`` with %-encoded values, as OpenTelemetry writes headers."""
    pairs = filter(None, value.get_secret_value().split(","))
    split = [pair.strip().partition("=") for pair in pairs]
    return {name: unquote(text) for name, _, text in split}


def long_or_empty(value: SecretStr) -> SecretStr:
    """A key that cannot be tried out, or none. Raises ValueError."""
    if 0 < len(value.get_secret_value()) < 16:
        raise ValueError("must have 16 characters at least")
    return value
