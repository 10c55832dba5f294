"""Following the registry: which version is served, and what happens when another one should be."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import keep_copy, wait_until
from fake_registry import FakeRegistry, send
from fastapi.testclient import TestClient
from model_graphs import FEATURES, package
from text_models import trained

from service.registry import Registry

Follow = Callable[..., TestClient]
ROW = [1] * FEATURES


def ready(client: TestClient) -> dict[str, Any]:
    content: dict[str, Any] = client.get("/ready").json()
    return content


def wait_for_version(client: TestClient, version: str) -> None:
    wait_until(lambda: ready(client)["version"] == version, f"version {version} is served")


def label(client: TestClient, **more: str) -> int:
    answer = client.post("/predict", json={"instances": [ROW], **more})
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["predictions"][0]["label"]
    return found


def test_the_champion_is_served_and_followed(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    client = follow()
    wait_for_version(client, "1")
    assert label(client) == 4
    newer = registry.register("digits", package(7))
    registry.promote("digits", newer, alias="challenger")
    time.sleep(0.3)
    assert ready(client)["version"] == "1"
    registry.promote("digits", newer)
    wait_for_version(client, "2")
    assert label(client) == 7
    text = client.get("/metrics").text
    assert 'model_swaps_total{model="digits"} 1.0' in text
    assert 'model_info{kind="classifier",model="digits",version="2"} 1.0' in text
    assert 'model_info{kind="classifier",model="digits",version="1"}' not in text


def test_a_rollback_needs_no_download(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    client = follow()
    wait_for_version(client, "1")
    registry.publish("digits", package(7))
    wait_for_version(client, "2")
    registry.misbehave["mlflow-artifacts"] = lambda handler: send(handler, b"", status=500)
    registry.promote("digits", "1")
    wait_for_version(client, "1")
    assert label(client) == 4


def test_content_that_changes_under_the_same_version_is_followed(
    follow: Follow, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.model_follower._LOOK_AGAIN_SECONDS", 0.2)
    registry.publish("digits", package(4))
    client = follow()
    wait_for_version(client, "1")
    registry.register("digits", package(7))
    registry.models["digits"]["1"] = registry.models["digits"]["2"]
    wait_until(lambda: label(client) == 7, "the new content is served")
    assert ready(client)["version"] == "1"


def test_a_look_at_an_unmoved_alias_is_one_call(follow: Follow, registry: FakeRegistry) -> None:
    names = ("one", "two", "three")
    for name in names:
        registry.publish(name, package(name=name))
    client = follow(models=",".join(names))
    wait_until(lambda: client.get("/ready").status_code == 200, "all are served")
    registry.asked.clear()
    wait_until(lambda: len(registry.asked) >= 3, "it looks again")
    assert {path.rpartition("/")[2] for path in registry.asked} == {"search"}


@contextmanager
def asking(client: TestClient) -> Iterator[list[tuple[int, str, int]]]:
    """Ask from four threads meanwhile; yields status, version and label of each answer."""
    answers: list[tuple[int, str, int]] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answer = client.post("/predict", json={"instances": [ROW]})
            body = answer.json()
            assert answer.headers["x-model-version"] == body["version"]
            time.sleep(0.005)
            answers.append((answer.status_code, body["version"], body["predictions"][0]["label"]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(answers) > 20, "requests are under way")
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join(10)


def test_no_request_fails_while_versions_change(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(1))
    client = follow()
    wait_for_version(client, "1")
    with asking(client) as answers:
        for number in (2, 3):
            registry.publish("digits", package(number))
            wait_for_version(client, str(number))
            # Whatever is asked from now on is answered by this version.
            client.post("/predict", json={"instances": [ROW]})
            asked = len(answers)
            wait_until(lambda asked=asked: len(answers) > asked + 20, "more are answered")
            assert {version for _, version, _ in answers[asked + 4 :]} == {str(number)}
    assert {status for status, _, _ in answers} == {200}
    assert {(version, label) for _, version, label in answers} == {("1", 1), ("2", 2), ("3", 3)}


def test_a_request_is_ended_by_the_version_that_began_it(
    follow: Follow, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("digits", package(4))
    client = follow(inference_workers=2)
    wait_for_version(client, "1")
    from service.classifier import Classifier

    began, go_on = threading.Event(), threading.Event()
    predict = Classifier.predict

    def slow(self: Classifier, rows: Any, options: Any = None) -> Any:
        if options is not None and not began.is_set():
            began.set()
            assert go_on.wait(10)
        return predict(self, rows, options)

    monkeypatch.setattr(Classifier, "predict", slow)
    bodies: list[Any] = []
    request = {"instances": [ROW]}
    asked = threading.Thread(
        target=lambda: bodies.append(client.post("/predict", json=request).json())
    )
    asked.start()
    try:
        assert began.wait(10)
        registry.publish("digits", package(7))
        wait_for_version(client, "2")
        assert label(client) == 7
    finally:
        go_on.set()
        asked.join(10)
    assert (bodies[0]["version"], bodies[0]["predictions"][0]["label"]) == ("1", 4)


def test_several_models_are_told_apart(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("first", package(1, name="first"))
    registry.publish("second", package(2, name="second"))
    client = follow(models="first, second")
    wait_until(lambda: client.get("/ready").status_code == 200, "both are served")
    assert [model["name"] for model in ready(client)["models"]] == ["first", "second"]
    assert label(client) == label(client, model="first") == 1
    assert label(client, model="second") == 2
    answer = client.post("/predict", json={"instances": [ROW], "model": "third"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert answer.json()["error"]["field"] == "model"
    assert "first, second" in answer.json()["error"]["message"]
    assert "third" not in answer.text


def test_a_text_generator_is_followed_as_a_classifier_is(
    follow: Follow, registry: FakeRegistry
) -> None:
    registry.publish("text", trained())
    registry.publish("digits", package(4))
    client = follow(models="digits,text")
    wait_until(lambda: client.get("/ready").status_code == 200, "both are served")
    registry.publish("text", trained() | {"model.json": b" " + trained()["model.json"]})
    wait_until(lambda: ready(client)["models"][1]["version"] == "2", "the new one is served")
    message = {"role": "user", "content": "The"}
    answer = client.post(
        "/v1/chat/completions", json={"model": "text", "messages": [message], "max_tokens": 3}
    )
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "2"
    assert label(client) == 4


def test_a_model_that_cannot_be_had_does_not_keep_others_from_being_served(
    follow: Follow, registry: FakeRegistry
) -> None:
    registry.publish("digits", package(1))
    client = follow(models="digits,absent")
    wait_until(lambda: client.get("/ready").status_code == 200, "it is ready")
    absent = ready(client)["models"][1]
    assert absent["version"] is None
    assert absent["reason"] == "the registry has no champion of it"


def test_models_are_found_on_any_page(follow: Follow, registry: FakeRegistry) -> None:
    registry.page_size = 2
    for name in ("a", "b", "c", "d", "digits", "z"):
        registry.publish(name, package(name=name))
    wait_for_version(follow(), "1")


def test_without_copy_and_registry_it_is_not_ready_and_tries_on(
    follow: Follow, registry: FakeRegistry
) -> None:
    registry.publish("digits", package(4))
    registry.stop()
    client = follow()
    try:
        wait_until(lambda: "unreachable" in ready(client)["registry"], "it has asked")
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["reason"] == "digits: the registry is unreachable: Connection refused"
        refused = client.post("/predict", json={"instances": [ROW]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert "model_registry_up 0.0" in client.get("/metrics").text
    finally:
        go_on = threading.Event()
        registry.misbehave["versions/get"] = lambda _: go_on.wait(10)
        registry.start()
    try:
        wait_until(lambda: ready(client)["registry"] == "reachable", "it is back")
        assert ready(client)["reason"] == "the model is loading"
    finally:
        registry.misbehave.clear()
        go_on.set()
    wait_for_version(client, "1")
    assert "model_registry_up 1.0" in client.get("/metrics").text


def test_a_pod_that_was_ready_stays_so_whatever_the_registry_does(
    follow: Follow, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.model_follower._LOOK_AGAIN_SECONDS", 0.1)
    registry.publish("digits", package(4))
    registry.publish("refused", package(4, name="refused"), sha256=None)
    client = follow(models="digits,refused")

    def standing() -> dict[str, Any]:
        found: dict[str, Any] = ready(client)["models"][1]
        return found

    wait_until(lambda: standing()["refused"] is not None, "one is refused")
    wait_until(lambda: client.get("/ready").status_code == 200, "it is ready")
    # Its tag cannot be read, then the registry is away, then all is as it was.
    registry.misbehave["versions/get"] = lambda handler: send(handler, b"", status=500)
    wait_until(lambda: "cannot be had" in (standing()["reason"] or ""), "it has asked")
    assert client.get("/ready").status_code == 200
    registry.stop()
    try:
        wait_until(lambda: "unreachable" in ready(client)["registry"], "it is missed")
        assert client.get("/ready").status_code == 200
    finally:
        registry.misbehave.clear()
        registry.start()
    wait_until(lambda: ready(client)["registry"] == "reachable", "it is back")
    assert client.get("/ready").status_code == 200
    wait_until(lambda: standing()["refused"] is not None, "why it is refused is said again")
    # A configured model that comes later is no reason to leave either.
    held = threading.Event()
    registry.misbehave["m-refused2"] = lambda _: held.wait(10)
    registry.publish("refused", package(4, name="refused"))
    wait_until(lambda: any("m-refused2" in path for path in registry.asked), "it is on its way")
    assert client.get("/ready").status_code == 200
    registry.misbehave.clear()
    held.set()


def test_a_download_that_takes_long_delays_no_other_model_nor_the_canary(
    follow: Follow, registry: FakeRegistry
) -> None:
    for name in ("digits", "slow"):
        registry.publish(name, package(4, name=name))
    client = follow(models="slow,digits", registry_seconds=30)
    wait_until(lambda: client.get("/ready").status_code == 200, "both are served")
    held = threading.Event()
    registry.misbehave["m-slow2"] = lambda _: held.wait(20)
    try:
        registry.publish("slow", package(5, name="slow"))
        wait_until(lambda: any("m-slow2" in path for path in registry.asked), "it is on its way")
        registry.publish("digits", package(7))
        wait_until(lambda: ready(client)["models"][1]["version"] == "2", "the other is served")
        registry.promote("digits", "1")
        wait_until(lambda: ready(client)["models"][1]["version"] == "1", "and rolled back")
        third = registry.register("slow", package(6, name="slow"))
        wish = {"version": third, "share": 0.5, "until": time.time() + 60}
        registry.tags["slow"] = {"canary": json.dumps(wish)}
        wait_until(lambda: ready(client)["models"][0]["canary"] is not None, "it has a canary")
        assert ready(client)["models"][0]["version"] == "1"
    finally:
        held.set()


def test_a_download_that_takes_too_long_is_given_up(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    held = threading.Event()
    registry.misbehave["model.onnx"] = lambda _: held.wait(20)
    try:
        client = follow(registry_seconds=30, download_timeout_seconds=0.3)
        wait_until(lambda: "did not arrive" in (ready(client)["reason"] or ""), "it is given up")
    finally:
        registry.misbehave.clear()
        held.set()
    wait_for_version(client, "1")


def test_copies_have_room_for_what_is_served_and_then_for_what_was(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    names = ("a", "b", "c")
    for name in names:
        registry.publish(name, package(1, name=name))
    # A version takes 12 KiB, a model 8 KiB beside its versions: there is room for five.
    most = (3 * 8 + 5 * 12) * 1024
    client = follow(models=",".join(names), max_cache_bytes=most)
    wait_until(lambda: client.get("/ready").status_code == 200, "all are served")
    for label in (2, 3):
        for place, name in enumerate(names):
            version = registry.publish(name, package(label, name=name))
            wait_until(
                lambda place=place, version=version: (
                    ready(client)["models"][place]["version"] == version
                ),
                f"version {version} of {name} is served",
            )
    used = sum(path.lstat().st_blocks * 512 for path in (tmp_path / "cache").rglob("*"))
    assert used <= most
    for name in names:
        current = json.loads((tmp_path / "cache" / name / "current.json").read_text())
        assert current["version"] == "3"
        assert (tmp_path / "cache" / name / current["folder"]).is_dir()


def test_without_room_for_a_copy_it_says_so(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    client = follow(max_cache_bytes=4096)
    wait_until(lambda: "may take 4096 bytes" in (ready(client)["reason"] or ""), "it has tried")
    assert client.get("/ready").status_code == 503


def test_a_copy_is_served_without_the_registry(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    keep_copy(tmp_path / "cache", "digits", "1", package(4))
    registry.publish("digits", package(4))
    registry.publish("digits", package(7))
    registry.stop()
    client = follow()
    try:
        wait_until(lambda: "unreachable" in ready(client)["registry"], "it has asked")
        assert client.get("/ready").status_code == 200
        assert label(client) == 4
    finally:
        registry.start()
    wait_for_version(client, "2")
    assert label(client) == 7


def test_without_registry_only_the_copy_is_served(follow: Follow, tmp_path: Path) -> None:
    keep_copy(tmp_path / "cache", "digits", "1", package(4))
    client = follow(registry_uri="")
    wait_for_version(client, "1")
    assert ready(client)["registry"] == "not configured"


def test_a_copy_for_which_memory_does_not_suffice_is_brought_again(
    follow: Follow, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.classifier import Classifier

    load, failed = Classifier.load, threading.Event()

    def fail(self: Classifier) -> None:
        if not failed.is_set():
            failed.set()
            raise MemoryError
        load(self)

    monkeypatch.setattr(Classifier, "load", fail)
    keep_copy(tmp_path / "cache", "digits", "1", package(4))
    registry.publish("digits", package(4))
    wait_for_version(follow(), "1")
    assert failed.is_set()


def test_without_registry_and_copy_it_says_so(follow: Follow) -> None:
    client = follow(registry_uri="")
    wait_until(lambda: "no copy" in ready(client)["reason"], "it has looked")
    assert client.get("/ready").status_code == 503


def test_a_registry_that_goes_away_is_missed_but_not_needed(
    follow: Follow, registry: FakeRegistry
) -> None:
    registry.publish("digits", package(4))
    client = follow()
    wait_for_version(client, "1")
    registry.stop()
    try:
        wait_until(lambda: "unreachable" in ready(client)["registry"], "it is missed")
        assert client.get("/ready").status_code == 200
        assert label(client) == 4
    finally:
        registry.start()
    registry.publish("digits", package(7))
    wait_for_version(client, "2")


def test_what_is_served_is_the_copy_of_the_next_start(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        registry.publish("digits", package(number))
        if number == 1:
            client = follow()
        wait_for_version(client, str(number))
    folder = tmp_path / "cache" / "digits"
    note = json.loads((folder / "current.json").read_text())
    assert set(note) == {"version", "folder", "sha256"}
    assert (note["version"], note["folder"][:2]) == ("3", "3-")
    # The one served, and the one before.
    assert sorted(path.name[:2] for path in folder.iterdir() if path.is_dir()) == ["2-", "3-"]
    client = follow(registry_uri="")
    wait_for_version(client, "3")
    assert label(client) == 3


def damage_file(folder: Path) -> None:
    (graph,) = folder.glob("*/model.onnx")
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")


def remove_file(folder: Path) -> None:
    (graph,) = folder.glob("*/model.onnx")
    graph.unlink()


def damage_note(folder: Path) -> None:
    (folder / "current.json").write_text('{"version": "../../x", "sha256": {}}')


def cut_note(folder: Path) -> None:
    (folder / "current.json").write_text("{")


@pytest.mark.parametrize("damage", [damage_file, remove_file, damage_note, cut_note])
def test_a_damaged_copy_is_not_served_but_brought_anew(
    follow: Follow, registry: FakeRegistry, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    keep_copy(tmp_path / "cache", "digits", "1", package(4))
    damage(tmp_path / "cache" / "digits")
    registry.publish("digits", package(4))
    registry.stop()
    client = follow()
    try:
        wait_until(lambda: "unreachable" in ready(client)["registry"], "it has asked")
        assert client.get("/ready").status_code == 503
    finally:
        registry.start()
    wait_for_version(client, "1")
    assert label(client) == 4


def test_without_place_for_a_copy_it_says_so_and_tries_on(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.publish("digits", package(4))
    (tmp_path / "cache").write_text("no folder")
    client = follow()
    wait_until(lambda: "no place for a copy" in ready(client)["reason"], "it has tried")
    (tmp_path / "cache").unlink()
    wait_for_version(client, "1")


def test_what_an_interrupted_download_left_is_removed(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    left = tmp_path / "cache" / "digits" / ".new-abc"
    left.mkdir(parents=True)
    (left / "model.onnx").write_bytes(b"half of it")
    registry.publish("digits", package(4))
    client = follow()
    wait_for_version(client, "1")
    assert not left.exists()
    assert not list(left.parent.glob(".new-*"))


def test_a_download_that_breaks_off_is_tried_again(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    tried = threading.Event()

    def break_off(handler: Any) -> None:
        tried.set()
        send(handler, b"half", Content_Length="1000")

    registry.misbehave["model.onnx"] = break_off
    client = follow()
    assert tried.wait(10)
    wait_until(lambda: "hung up" in (ready(client)["reason"] or ""), "it has failed")
    assert ready(client)["models"][0]["refused"] is None
    registry.misbehave.clear()
    wait_for_version(client, "1")
    assert ready(client)["models"][0]["reason"] is None


def test_what_nobody_foresaw_holds_up_one_model_and_not_for_ever(
    follow: Follow, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Registry.digest_tag
    odd = ["digits", "digits"]

    async def fail(self: Registry, name: str, version: str) -> str | None:
        if name in odd:
            odd.remove(name)
            raise ZeroDivisionError("a secret")
        return await read(self, name, version)

    monkeypatch.setattr(Registry, "digest_tag", fail)
    for name in ("digits", "other"):
        registry.publish(name, package(4, name=name))
    client = follow(models="digits,other")
    reasons: list[str] = []

    def all_served() -> bool:
        answer = client.get("/ready")
        reasons.append(answer.json()["models"][0]["reason"] or "")
        return all(model["version"] for model in answer.json()["models"])

    wait_until(all_served, "both are served")
    assert "version 1 cannot be had: ZeroDivisionError" in reasons
    assert not any("secret" in reason for reason in reasons)


def test_a_search_that_fails_unforeseen_is_not_the_last(
    follow: Follow, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, failed = Registry.registered, threading.Event()

    async def fail(self: Registry, *arguments: Any) -> dict[str, str]:
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError
        return await look(self, *arguments)

    monkeypatch.setattr(Registry, "registered", fail)
    registry.publish("digits", package(4))
    wait_for_version(follow(), "1")


def test_the_cache_may_vanish_while_it_serves(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.publish("digits", package(4))
    client = follow()
    wait_for_version(client, "1")
    shutil.rmtree(tmp_path / "cache")
    registry.publish("digits", package(7))
    wait_for_version(client, "2")
