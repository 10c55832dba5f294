"""The users for Locust's own command and page; the data is what ``--data`` names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from locust import events

from loadtests.answers import Judge
from loadtests.data import Data
from loadtests.mix import Draws, Mix
from loadtests.users.chat import ChatUser
from loadtests.users.predict import PredictUser
from loadtests.users.service import ServiceUser

PredictUser.weight, ChatUser.weight = Mix.predict, Mix.chat


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_data(parser: Any, **_: Any) -> None:
    parser.add_argument("--data", required=True, include_in_web_ui=False, help="made by `ui`")


@events.init.add_listener  # type: ignore[untyped-decorator]
def _load(environment: Any, **_: Any) -> None:
    data = Data.read(Path(environment.parsed_options.data))
    ServiceUser.data, ServiceUser.judge = data, Judge(data)
    ServiceUser.draws = Draws(Mix(), 0, rows=len(data.rows), prompts=len(data.prompts))
