"""Users who have texts continued."""

from __future__ import annotations

from functools import partial

from locust import between, task

from loadtests.users.service import Answer, ServiceUser


def chat(user: ServiceUser) -> Answer:
    """Ask for a stream that goes on from a text that no model was trained on, and read it all."""
    prompt = user.draws.prompt()
    judge = partial(user.judge.stream, prompt=prompt)
    return user.send("chat", "/v1/chat/completions", user.data.requests[prompt], judge)


class ChatUser(ServiceUser):
    """Asks, reads the text, asks again."""

    wait_time = between(1, 3)

    @task
    def chat(self) -> None:
        """One request."""
        chat(self)
