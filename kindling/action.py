"""What Ansible's tasks of ours are made of: actions, which run in Ansible's own process.

A module would be a process of its own, which costs half a second of a core before it does
anything; an action has what it needs imported already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase

from kindling import actions, last_run
from kindling.errors import KindlingError


class Action(ActionBase):  # type: ignore[misc]
    """An action with checked arguments, whose failure is a message and a next step.

    It does what the function of its name in ``kindling.actions`` does.
    """

    ARGUMENTS: ClassVar[Mapping[str, Any]]
    REQUIRED_IF: ClassVar[tuple[Any, ...]] = ()

    _requires_connection = False

    def perform(self, params: dict[str, Any], *, check: bool) -> dict[str, Any]:
        """Do it, or with ``check`` only tell what would be done; returns the task's result."""
        return actions.ALL[self._name](params, check=check)

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """What Ansible calls."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, params = self.validate_argument_spec(
            argument_spec=self.ARGUMENTS, required_if=self.REQUIRED_IF
        )
        # Ansible's own strings and lists know where they come from; YAML and JSON want plain ones.
        plain = json.loads(json.dumps(params))
        try:
            performed = self.perform(plain, check=bool(self._task.check_mode))
        except KindlingError as error:
            return result | {"failed": True, "msg": error.message, "next_step": error.next_step}
        last_run.note(self._name, plain, performed)
        return result | performed

    @property
    def _name(self) -> str:
        return str(self._task.action).rpartition(".")[2]
