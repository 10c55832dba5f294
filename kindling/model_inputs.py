"""Whether requests that one version of a model takes are taken by another version too."""

from __future__ import annotations

from collections.abc import Iterator

from kindling.errors import KindlingError
from kindling.model_registry import ModelRegistry
from service.package import ClassifierPart, Descriptor
from service.package_tabular import InputPart, TabularPart

OPTION = "--allow-input-changes"
# Each value of the first type is one of the second, in JSON and in tensors.
_WIDENS = frozenset({
    ("integer", "long"), ("integer", "float"), ("integer", "double"), ("long", "double"),
    ("float", "double"),
})  # fmt: skip


def check(registry: ModelRegistry, name: str, champion: str, version: str) -> str:
    """Compare the inputs of ``version`` with those of ``champion``; returns a note, or nothing.

    Raises KindlingError where clients of the champion would be refused, or misunderstood.
    """
    if not champion or champion == version:
        return ""
    before, after = (registry.descriptor(name, one) for one in (champion, version))
    if before is None or after is None:
        lacking = champion if before is None else version
        return f"version {lacking} has no model.json that can be read: inputs are not compared"
    if changes := list(_changes(before, after)):
        raise KindlingError(
            f"version {version} of {name} takes other inputs than version {champion}, which is"
            f" champion: {'; '.join(changes)}",
            next_step=f"if clients are ready for it: the same command with {OPTION}",
        )
    return ""


def _changes(before: Descriptor, after: Descriptor) -> Iterator[str]:
    if before.kind != after.kind:
        yield f"it is a {after.kind}, not a {before.kind}"
    elif before.classifier and after.classifier:
        yield from _of_classifier(before.classifier, after.classifier)
    elif before.tabular and after.tabular:
        yield from _of_table(before.tabular, after.tabular)


def _of_classifier(before: ClassifierPart, after: ClassifierPart) -> Iterator[str]:
    if before.features != after.features:
        yield f"{after.features} features, not {before.features}"
    if after.minimum > before.minimum or after.maximum < before.maximum:
        yield (
            f"values from {after.minimum:g} to {after.maximum:g}, not from {before.minimum:g}"
            f" to {before.maximum:g}"
        )


def _of_table(before: TabularPart, after: TabularPart) -> Iterator[str]:
    if before.tensor != after.tensor:
        yield "a matrix, not columns" if after.tensor else "columns, not a matrix"
        return
    old = {column.name: column for column in before.inputs}
    new = {column.name: column for column in after.inputs}
    yield from (f"no column {name}" for name in old if name not in new)
    # An optional one too: a row that is a list has as many values as there are columns.
    yield from (f"a new column {name}" for name in new if name not in old)
    if list(old) != list(new) and old.keys() == new.keys():
        yield "the columns in another order"
    for name in old.keys() & new.keys():
        yield from _of_column(old[name], new[name])


def _of_column(before: InputPart, after: InputPart) -> Iterator[str]:
    if before.type != after.type and (before.type, after.type) not in _WIDENS:
        yield f"{before.name} as {after.type}, not {before.type}"
    if before.optional and not after.optional:
        yield f"{before.name} may not be missing any more"
