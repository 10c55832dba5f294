"""The groups of endpoints in /docs, in the order in which it shows them."""

from __future__ import annotations

from enum import StrEnum


class Group(StrEnum):
    """The tag of each endpoint; a class attribute is how endpoints name it."""

    PREDICT = "Predictions"
    CHAT = "Chat (OpenAI)"
    V2 = "Open Inference Protocol (V2)"
    FEEDBACK = "Feedback"
    OPERATIONS = "Operations"


_DESCRIPTIONS = {
    Group.PREDICT: "Rows in, classes or a table's outputs out.",
    Group.CHAT: "Texts, for any client of OpenAI's API.",
    Group.V2: "Rows as tensors, for any client of KServe, Triton or MLServer.",
    Group.FEEDBACK: "True labels, once they are known.",
    Group.OPERATIONS: "For Kubernetes, Prometheus and drift detection.",
}
TAGS = [{"name": group.value, "description": _DESCRIPTIONS[group]} for group in Group]
