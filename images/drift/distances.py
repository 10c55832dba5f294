"""How far apart two samples are that were counted in the same bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy, kstwo

Counts = NDArray[np.int64]
_PSEUDO_COUNT = 0.5


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The statistic, and how likely one as large is if both samples are of one distribution."""

    statistic: float
    p_value: float


def psi(reference: Counts, live: Counts) -> float:
    """The population stability index: the symmetric Kullback-Leibler divergence, in nats.

    Kullback and Leibler, "On Information and Sufficiency", Annals of Mathematical Statistics 22
    (1951), there J(1,2); as an index with the usual bounds 0.1 and 0.25: Siddiqi, "Credit Risk
    Scorecards" (2006). A bin that only one sample has would make it infinite: every bin gets half
    a count more (Krichevsky and Trofimov, IEEE Transactions on Information Theory 27, 1981). Bins
    that neither sample has are left out, and say nothing.
    """
    seen = (reference + live) > 0
    p, q = _shares(reference[seen]), _shares(live[seen])
    # Rounded sums of nothing can be a little below it.
    return max(0.0, float(entropy(p, q) + entropy(q, p)))


def kolmogorov_smirnov(reference: Counts, live: Counts) -> KolmogorovSmirnov:
    """The two-sample test of Kolmogorov and Smirnov on what the bins can tell apart.

    With a bin for each value it is the test of the values themselves, as
    ``scipy.stats.ks_2samp(method="asymp")`` does it: the largest difference of the cumulative
    shares, and Simard and L'Ecuyer's distribution of it (Journal of Statistical Software 39, 2011)
    for the effective number n m / (n + m). With wider bins the statistic is a lower bound. On
    classes without an order it depends on their numbering.
    """
    n, m = int(reference.sum()), int(live.sum())
    apart = np.abs(np.cumsum(reference) / n - np.cumsum(live) / m)
    statistic = float(apart.max())
    effective = max(1, round(n * m / (n + m)))
    return KolmogorovSmirnov(statistic, float(np.clip(kstwo.sf(statistic, effective), 0, 1)))


def _shares(counts: Counts) -> NDArray[np.float64]:
    smoothed = counts + _PSEUDO_COUNT
    shares: NDArray[np.float64] = smoothed / smoothed.sum()
    return shares
