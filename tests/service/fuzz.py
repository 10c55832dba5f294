"""Requests made up from the API's own description, against a server that runs.

``python tests/service/fuzz.py URL [EXAMPLES]`` sends so many (1000) to each operation, and exits
with 1 when an answer is a 5xx that is not a plain "too busy".
"""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig

# Overloaded or too slow: said as it should be, and no fault of the request.
BUSY = frozenset({503, 504})
# In turn, as far as they are served there.
MODELS = {"/predict": ("digits", "echo"), "/v1/chat/completions": ("text",)}


def no_failure(response: Any, case: Any) -> None:
    """The service never fails on what it is sent."""
    if response.status_code >= 500 and response.status_code not in BUSY:
        raise AssertionError(f"{case.method} {case.path}: {response.status_code} {response.text}")


def profile(examples: int) -> settings:
    """How an operation is tried: the same examples in every run."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def load(source: Any) -> Any:
    """The API's description: of an app, or at an address."""
    config = SchemathesisConfig()
    if isinstance(source, str):
        return schemathesis.openapi.from_url(f"{source}/openapi.json", config=config)
    return schemathesis.openapi.from_asgi("/openapi.json", source, config=config)


def try_all(source: Any, examples: int) -> dict[str, int]:
    """How many requests each operation was sent. Raises AssertionError at the first failure."""
    sent: dict[str, int] = {}
    for result in load(source).get_all_operations():
        operation = result.ok()
        _try(operation, schemathesis.GenerationMode.POSITIVE, examples // 2, sent)
        # What takes nothing can be sent nothing wrong.
        with suppress(Unsatisfiable):
            _try(operation, schemathesis.GenerationMode.NEGATIVE, examples // 2, sent)
    return sent


def _try(operation: Any, mode: Any, examples: int, sent: dict[str, int]) -> None:
    @profile(examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        number = sent[operation.label] = sent.get(operation.label, 0) + 1
        if number % 2 and isinstance(case.body, dict) and case.body.get("model"):
            # A name made up is one of no model; more is seen beyond that.
            known = MODELS[operation.path]
            case.body["model"] = known[number // 2 % len(known)]
        if number % 2 and operation.path.startswith("/v2/") and case.path_parameters:
            model, version = [("digits", "3"), ("echo", "1")][number // 2 % 2]
            case.path_parameters["model"] = model
            case.path_parameters.pop("version", None)
            case.path_parameters |= {"version": version} if "{version}" in operation.path else {}
        no_failure(case.call(), case)

    run()


def main() -> int:
    """Returns the exit code."""
    url, *more = sys.argv[1:]
    warnings.simplefilter("ignore")
    for label, count in try_all(url, int(*more) if more else 1000).items():
        print(f"{label}: {count} requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
