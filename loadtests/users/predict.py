"""Users who have rows classified."""

from __future__ import annotations

from functools import partial

from locust import between, task

from loadtests.users.service import Answer, ServiceUser


def predict(user: ServiceUser) -> Answer:
    """Ask about rows that no model was trained on, as many as the mix says."""
    rows = user.draws.rows()
    judge = partial(user.judge.prediction, rows=rows)
    return user.send("predict", "/predict", user.data.request(rows), judge)


class PredictUser(ServiceUser):
    """Asks, looks at the answer, asks again."""

    wait_time = between(0.5, 1.5)

    @task
    def predict(self) -> None:
        """One request."""
        predict(self)
