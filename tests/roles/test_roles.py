"""What every role promises: the same keys in its defaults and in its argument specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling import paths

ROLES = sorted(path for path in (paths.REPOSITORY / "roles").iterdir() if path.is_dir())


def read(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(file.read_text())
    return loaded


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_argument_specification_have_the_same_keys(role: Path) -> None:
    defaults = read(role / "defaults" / "main.yml")
    spec = read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    assert set(defaults) == set(spec["options"])
    assert all(key.startswith(f"{role.name}_") for key in defaults)
    for key, option in spec["options"].items():
        assert option["description"], key
        assert option["type"], key


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_plain_defaults_are_those_that_the_specification_tells(role: Path) -> None:
    defaults = read(role / "defaults" / "main.yml")
    options = read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    for key, value in defaults.items():
        if "{{" not in str(value) and not isinstance(value, list):
            assert options[key].get("default") == value, key


def test_every_session_is_in_the_onboarding_page() -> None:
    import re

    noxfile = (paths.REPOSITORY / "noxfile.py").read_text()
    named = re.findall(r'session\(name="([\w-]+)"', noxfile)
    named += re.findall(r"@nox\.session(?:\(default=False\))?\ndef (\w+)\(", noxfile)
    page = (paths.REPOSITORY / "docs" / "onboarding.md").read_text()
    assert len(named) >= 7
    assert [name for name in named if f"nox -s {name}" not in page] == []
