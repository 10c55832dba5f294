"""How a run looks: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.text import Text

from kindling.progress import Event

_STILL_SECONDS = 30.0
_STEP_SHOWN_SECONDS = 0.3
_MOST_STEPS = 6


class View:
    """Tasks and the steps inside them; every method is called under the caller's lock."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self._task = ""
        self._task_began = 0.0
        self._steps: dict[str, tuple[float, str]] = {}
        self._said_still = time.monotonic()
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, refresh_per_second=8, transient=True, redirect_stderr=False
            )
            self._live.start()

    def task(self, title: str) -> None:
        """A task begins."""
        self._task, self._task_began = title, time.monotonic()
        self._said_still = self._task_began
        self._steps.clear()

    def idle(self) -> None:
        """The task has ended."""
        self._task = ""
        self._steps.clear()

    def finished(self, title: str, seconds: float, changed: bool) -> None:
        """One line for a task that took time or changed something."""
        mark, style = ("changed", "yellow") if changed else ("ok", "green")
        self._line(f"[{style}]{mark:>7}[/]  {escape(title)} [dim]{_short(seconds)}[/]")

    def event(self, event: Event) -> None:
        """A step inside the task."""
        if event.state in ("start", "update"):
            began, _ = self._steps.get(event.step, (time.monotonic(), ""))
            self._steps[event.step] = (began, event.detail)
            return
        self._steps.pop(event.step, None)
        if event.state == "done" and event.seconds >= _STEP_SHOWN_SECONDS:
            self._line(f"          · {escape(event.step)} [dim]{_short(event.seconds)}[/]")

    def failure(self, title: str, message: str, next_step: str) -> None:
        """What failed, why, and what to type next."""
        self.idle()
        self._line(f"[bold red] failed[/]  {escape(title)}")
        self._line(f"  [red]{escape(message)}[/]")
        if next_step:
            self._line(f"  next: [bold]{escape(next_step)}[/]")

    def line(self, text: str) -> None:
        """A line as it is."""
        self._line(escape(text))

    def tick(self) -> None:
        """Called some times a second: redraw, or break a long silence."""
        if self._live:
            self._live.update(self._now())
        elif self._task and time.monotonic() - self._said_still >= _STILL_SECONDS:
            self._said_still = time.monotonic()
            self._line(f"[dim]  still[/]  {escape(self._waiting_for())}")

    def close(self) -> None:
        """The run is over."""
        if self._live:
            self._live.stop()
            self._live = None

    def _now(self) -> RenderableType:
        if not self._task:
            return Text("")
        elapsed = _short(time.monotonic() - self._task_began)
        parts: list[RenderableType] = [Spinner("dots", f"{self._task}  {elapsed}")]
        steps = list(self._steps.items())
        for name, (began, detail) in steps[:_MOST_STEPS]:
            text = f"    {name}  {_short(time.monotonic() - began)}"
            parts.append(Text(text + (f"  {detail}" if detail else ""), style="dim", no_wrap=True))
        if len(steps) > _MOST_STEPS:
            parts.append(Text(f"    and {len(steps) - _MOST_STEPS} more", style="dim"))
        return Group(*parts)

    def _waiting_for(self) -> str:
        if not self._steps:
            return f"{self._task} {_short(time.monotonic() - self._task_began)}"
        now = time.monotonic()
        words = [
            f"{name} {_short(now - began)}" + (f" ({detail})" if detail else "")
            for name, (began, detail) in self._steps.items()
        ]
        return ", ".join(words)

    def _line(self, markup: str) -> None:
        self._console.print(markup)
        self._said_still = time.monotonic()


def _short(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
