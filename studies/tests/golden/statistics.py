"""Computes with SciPy, statsmodels and NumPy what `studies` computes, and prints it as JSON.

    pip install scipy statsmodels
    python3 studies/tests/golden/statistics.py > studies/tests/golden/statistics.json

`studies/tests/statistics.rs` compares. Written for SciPy 1.17 and statsmodels 0.15.
"""

import itertools
import json
import math

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint, proportion_effectsize


def wilson():
    for hits, trials in [(0, 1), (1, 1), (0, 15), (15, 15), (7, 15), (1, 3), (40, 75), (999, 1000), (3, 100_000)]:
        low, high = proportion_confint(hits, trials, alpha=0.05, method="wilson")
        by_scipy = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
        assert abs(low - by_scipy.low) < 1e-12 and abs(high - by_scipy.high) < 1e-12
        yield {"hits": hits, "trials": trials, "low": max(low, 0.0), "high": min(high, 1.0)}


def half_width():
    def half(part, n):
        z = stats.norm.ppf(0.975)
        return z / (1 + z * z / n) * math.sqrt(part * (1 - part) / n + z * z / (4 * n * n))

    for part, width in [(0.5, 0.1), (0.5, 0.05), (0.0, 0.05), (0.2, 0.1), (0.93, 0.02)]:
        yield {"part": part, "half_width": width, "trials": next(n for n in itertools.count(1) if half(part, n) <= width)}


def pooled(clusters, weights=None):
    clusters = np.asarray(clusters, float)
    weights = np.ones(len(clusters)) if weights is None else np.asarray(weights, float)
    before_hits, before, after_hits, after = (clusters * weights[:, None]).sum(axis=0)
    return after_hits / after - before_hits / before


CLUSTERS = {
    "five, all alike": [[0, 3, 3, 3]] * 5,
    "five, mixed": [[0, 3, 3, 3], [1, 3, 2, 3], [0, 3, 0, 3], [2, 3, 1, 3], [0, 3, 3, 3]],
    "six, unequal": [[1, 4, 3, 5], [0, 2, 2, 2], [5, 9, 7, 8], [0, 1, 1, 3], [2, 6, 2, 6], [3, 3, 0, 2]],
    "two": [[0, 5, 4, 5], [1, 5, 3, 5]],
    "one": [[1, 4, 3, 4]],
}


def differences():
    for name, clusters in CLUSTERS.items():
        n = len(clusters)
        observed = pooled(clusters)
        draws = np.sort([pooled([clusters[i] for i in draw]) for draw in itertools.product(range(n), repeat=n)])
        low, high = np.quantile(draws, [0.025, 0.975], method="inverted_cdf")
        swapped = []
        for swap in itertools.product([False, True], repeat=n):
            swapped.append(pooled([c[2:] + c[:2] if s else c for c, s in zip(clusters, swap)]))
        far = np.abs(swapped) >= abs(observed) - 1e-12
        out = {"name": name, "clusters": clusters, "difference": observed, "low": low, "high": high, "p": far.mean()}
        trials = {tuple(c[1::2]) for c in clusters}
        if n > 1 and len(trials) == 1 and len(set(next(iter(trials)))) == 1:
            # With as many trials everywhere it is SciPy's test of one sample by its signs.
            d = np.array([(c[2] - c[0]) / c[1] for c in clusters])
            test = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
            assert abs(test.pvalue - out["p"]) < 1e-12, (name, test.pvalue, out["p"])
        yield out


def sampled():
    """More clusters than are gone through one by one: what is drawn at random must come near SciPy's."""
    rng = np.random.default_rng(1)
    clusters = [[int(rng.binomial(6, 0.3)), 6, int(rng.binomial(6, 0.55)), 6] for _ in range(20)]
    d = np.array([(c[2] - c[0]) / c[1] for c in clusters])
    ci = stats.bootstrap((d,), np.mean, method="percentile", n_resamples=200_000, rng=rng).confidence_interval
    test = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=200_000, rng=rng)
    return {"clusters": clusters, "difference": d.mean(), "low": ci.low, "high": ci.high, "p": test.pvalue}


def holm():
    for p in [[0.01], [0.04, 0.01, 0.03], [0.0625] * 4, [0.5, 0.001, 0.9, 0.02, 0.02], [0.0001, 1.0]]:
        yield {"p": p, "adjusted": list(multipletests(p, method="holm")[1])}


def power():
    solver = NormalIndPower()
    for one, other in [(0.2, 0.5), (0.5, 0.6), (0.05, 0.15), (0.0, 0.1), (0.95, 0.4), (0.9, 0.7)]:
        effect = proportion_effectsize(one, other)
        runs = solver.solve_power(abs(effect), power=0.8, alpha=0.05, ratio=1.0)
        yield {
            "one": one,
            "other": other,
            "effect": effect,
            "runs": math.ceil(runs - 1e-9),
            "power_of_15": solver.power(abs(effect), 15, 0.05, ratio=1.0),
        }


def intraclass():
    for clusters in [[[3, 3], [0, 3], [3, 3], [0, 3]], [[1, 3], [2, 3], [1, 3]], [[1, 4], [5, 9], [0, 2], [3, 3]], [[0, 3], [0, 3]]]:
        # By analysis of variance over single trials, as one-way ANOVA has it.
        groups = [np.array([1.0] * hits + [0.0] * (n - hits)) for hits, n in clusters]
        everything = np.concatenate(groups)
        k, total = len(groups), len(everything)
        between = sum(len(g) * (g.mean() - everything.mean()) ** 2 for g in groups) / (k - 1)
        within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (total - k)
        size = (total - sum(len(g) ** 2 for g in groups) / total) / (k - 1)
        whole = between + (size - 1) * within
        value = None if whole == 0 else min(max((between - within) / whole, 0.0), 1.0)
        if within > 0:
            assert abs(stats.f_oneway(*groups).statistic - between / within) < 1e-9
        yield {"clusters": clusters, "intraclass": value}


print(
    json.dumps(
        {
            "made_with": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": np.__version__},
            "wilson": list(wilson()),
            "half_width": list(half_width()),
            "differences": list(differences()),
            "sampled": sampled(),
            "holm": list(holm()),
            "power": list(power()),
            "intraclass": list(intraclass()),
        },
        indent=1,
        default=float,
    )
)
