"""Users who send when a plan says so."""

from __future__ import annotations

from typing import ClassVar

from locust import task
from locust.exception import StopUser

from loadtests.turns import Turns
from loadtests.users.chat import chat
from loadtests.users.predict import predict
from loadtests.users.service import ServiceUser


class PlannedUser(ServiceUser):
    """Takes its turn, asks as the mix says, and writes down what became of it."""

    turns: ClassVar[Turns]
    _made: ClassVar[int] = 0

    def on_start(self) -> None:
        """Take a number."""
        self._number = PlannedUser._made
        PlannedUser._made += 1

    @task
    def follow(self) -> None:
        """All turns of all stages."""
        for turn in self.turns.of_user(self._number):
            with turn:
                answer = chat(self) if self.draws.is_chat() else predict(self)
                turn.ended(answer)
        raise StopUser
