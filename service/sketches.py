"""GET /sketches: for each served version, what came lately beside what it was trained on."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Response
from pydantic import BaseModel

from service.api_groups import Group
from service.models import Models
from service.sketch import Taken, VersionSketch


class Sketches(BaseModel):
    """One for each served version whose package has a reference."""

    sketches: list[VersionSketch]


def add_sketches(app: FastAPI, models: Models) -> None:
    """Serve what drift detection compares."""

    @app.get(
        "/sketches",
        response_model=Sketches,
        tags=[Group.OPERATIONS],
        summary="Get counts of recent inputs and predictions",
    )
    async def sketches() -> Response:
        """Counts of recent inputs and predictions of this replica, beside those of the training."""
        taken = [
            (served.name, served.version, served.sketch.take())
            for served in models.all()
            if served.sketch
        ]
        content = await asyncio.to_thread(_content, taken)
        return Response(content, media_type="application/json")


def _content(taken: list[tuple[str, str, Taken]]) -> str:
    return Sketches(
        sketches=[held.count(model, version) for model, version, held in taken]
    ).model_dump_json()
