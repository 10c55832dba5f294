"""What is said of one version: how far its inputs and predictions are from the training's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from drift.distances import KolmogorovSmirnov, kolmogorov_smirnov, psi
from drift.sketches import Feature, Merged

# The same as the alert's: from here on a distribution counts as another, ...
PSI_LIMIT = 0.25
# ... and the inputs do when more than this share of the features is.
SHARE_LIMIT = 0.1


@dataclass(frozen=True)
class Compared:
    """A feature, or the prediction, and how far it is from what it was in training."""

    feature: Feature
    psi: float
    ks: KolmogorovSmirnov

    @property
    def drifted(self) -> bool:
        return self.psi > PSI_LIMIT


@dataclass(frozen=True)
class Finding:
    """A version with enough recent rows, compared."""

    merged: Merged
    features: tuple[Compared, ...]
    prediction: Compared

    @cached_property
    def share(self) -> float:
        """The share of the features that are distributed otherwise than in training."""
        return sum(each.drifted for each in self.features) / len(self.features)

    @property
    def drifting(self) -> bool:
        return self.share > SHARE_LIMIT or self.prediction.drifted

    @property
    def worst(self) -> list[Compared]:
        """The features, the farthest first."""
        return sorted(self.features, key=lambda each: -each.psi)

    def sentence(self) -> str:
        """What is found, for people."""
        count = sum(each.drifted for each in self.features)
        return (
            f"{count} of {len(self.features)} features have a PSI above {PSI_LIMIT:g}, "
            f"the prediction has {self.prediction.psi:.3g}"
        )


def compare(merged: Merged) -> Finding:
    """The finding about a version, of which there must be rows."""
    features = tuple(map(_compared, merged.features))
    return Finding(merged, features, _compared(merged.prediction))


def _compared(feature: Feature) -> Compared:
    distance = psi(feature.reference, feature.live)
    return Compared(feature, distance, kolmogorov_smirnov(feature.reference, feature.live))
