"""Ansible callback: what a run does, as a live view or as one line for each step."""

from __future__ import annotations

DOCUMENTATION = """
name: live
type: stdout
short_description: A live view on a terminal, one line for each step without
description:
  - Shows tasks and the steps inside long ones, ends with one recap line, and prints failures as
    a message and a next step.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

from kindling.progress import Tail
from kindling.view import View

_SHOWN_SECONDS = 0.3
_COUNTS = {"ok": "ok", "changed": "changed", "failures": "failed", "dark": "failed",
           "skipped": "skipped"}  # fmt: skip


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The callback; one instance for a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "live"

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._task: dict[str, Any] = {}
        self._task_began = self._began
        self._timings: list[dict[str, Any]] = []
        self._view = View(sys.stdout)
        self._tail = Tail(Path(os.environ.get("KINDLING_EVENTS", os.devnull)))
        self._lock = threading.RLock()
        self._stop = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        role = task._role.get_name() if task._role else ""
        with self._lock:
            self._take_events()
            self._task = {"role": role, "task": task.get_name().split(" : ", 1)[-1], "steps": []}
            self._task_began = time.monotonic()
            self._view.task(self._title())

    def v2_runner_on_ok(self, result: Any) -> None:
        data = self._data(result)
        with self._lock:
            self._take_events()
            self._end(bool(data.get("changed")))
            for note in [*(data.get("notes") or []), *([data["kept"]] if data.get("kept") else [])]:
                self._view.line(f"   note  {note}")
            if data.get("diff") and context.CLIARGS.get("diff"):
                self._view.line(self._get_diff(data["diff"]).rstrip())

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        data = self._data(result)
        with self._lock:
            self._take_events()
            for item in [i for i in data.get("results", []) if i.get("failed")] or [data]:
                message = str(item.get("msg") or item.get("stderr") or "no message").strip()
                self._view.failure(self._title(), message, str(item.get("next_step") or ""))
                if self._display.verbosity and item.get("exception"):
                    self._view.line(str(item["exception"]))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self.v2_runner_on_failed(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        with self._lock:
            self._view.idle()

    def v2_on_file_diff(self, result: Any) -> None:
        """Shown with the task's result."""

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._stop.set()
        totals = dict.fromkeys(_COUNTS.values(), 0)
        for host in stats.processed:
            for key, value in stats.summarize(host).items():
                if key in _COUNTS:
                    totals[_COUNTS[key]] += value
        recap = " ".join(f"{word}={count}" for word, count in totals.items())
        elapsed = time.monotonic() - self._began
        with self._lock:
            self._take_events()
            self._view.close()
            self._view.line(f"{recap} in {elapsed:.1f} s")
        if file := os.environ.get("KINDLING_TIMINGS"):
            roles = sorted({timing["role"] for timing in self._timings})
            content = {
                "recap": recap, "seconds": round(elapsed, 2), "roles": roles,
                "tasks": self._timings,
            }  # fmt: skip
            Path(file).write_text(json.dumps(content, indent=1))

    def _title(self) -> str:
        role, name = self._task.get("role", ""), self._task.get("task", "")
        return f"{role}: {name}" if role else str(name)

    def _end(self, changed: bool) -> None:
        seconds = time.monotonic() - self._task_began
        self._timings.append({**self._task, "seconds": round(seconds, 2), "changed": changed})
        self._view.idle()
        if changed or seconds >= _SHOWN_SECONDS:
            self._view.finished(self._title(), seconds, changed)

    def _follow(self) -> None:
        while not self._stop.wait(0.1):
            with self._lock:
                self._take_events()
                self._view.tick()

    def _take_events(self) -> None:
        for event in self._tail.new():
            if event.state in ("done", "failed") and self._task:
                self._task["steps"].append(
                    {"name": event.step, "seconds": event.seconds, "state": event.state}
                )
            self._view.event(event)

    @staticmethod
    def _data(result: Any) -> dict[str, Any]:
        data: dict[str, Any] = getattr(result, "result", None) or result._result
        return data
