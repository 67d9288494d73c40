"""Works the figures of `belljar monitor` out anew from scores.csv, with SciPy, and compares them.

    pip install scipy
    python3 studies/tests/golden/monitors.py DIRECTORY

Ends with 0 if every figure of DIRECTORY/monitors.csv and roc.csv is found again.
"""

import csv
import math
import pathlib
import sys

import numpy as np
from scipy import optimize, stats

directory = pathlib.Path(sys.argv[1])
TOLERANCE = 1e-9


def read(name):
    with open(directory / name, newline="") as file:
        return list(csv.DictReader(file))


def number(text):
    return None if text == "" else float(text)


def wilson(hits, trials):
    interval = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return interval.low, interval.high


def newcombe(area, m, n):
    """Method 5 of Newcombe, Statistics in Medicine 25 (2006), 559-573."""
    z = stats.norm.ppf(0.975)
    size = (m + n) / 2 - 1

    def gap(at):
        variance = at * (1 - at) * (1 + size * ((1 - at) / (2 - at) + at / (1 + at))) / (m * n)
        return (area - at) ** 2 - z * z * variance

    # At 0 and 1 the variance is none, so that they are roots themselves where the area is one of them.
    low = 0.0 if area == 0 else optimize.brentq(gap, 0, area - 1e-12 if area < 1 else 1 - 1e-9, xtol=1e-14)
    high = 1.0 if area == 1 else optimize.brentq(gap, area + 1e-12 if area > 0 else 1e-9, 1, xtol=1e-14)
    return low, high


def median(values):
    """The median, and the interval between order statistics that the binomial distribution gives."""
    values = sorted(values)
    cut = int(stats.binom.ppf(0.025, len(values), 0.5))
    while cut > 0 and stats.binom.cdf(cut - 1, len(values), 0.5) > 0.025:
        cut -= 1
    interval = (values[cut - 1], values[-cut]) if cut > 0 else (None, None)
    return float(np.median(values)), *interval


problems = 0


def same(what, found, expected):
    global problems
    if (found is None) != (expected is None) or (found is not None and not math.isclose(found, expected, rel_tol=0, abs_tol=TOLERANCE)):
        print(f"{what}: belljar says {found}, SciPy says {expected}")
        problems += 1


scores = read("scores.csv")
points = read("roc.csv")
checked = 0
for row in read("monitors.csv"):
    mine = [s for s in scores if s["monitor"] == row["monitor"] and s["view"] == row["view"]]
    known = [s for s in mine if s["positive"] != ""]
    answered = [s for s in known if s["score"] != ""]
    ones = [s for s in answered if s["positive"] == "true"]
    others = [s for s in answered if s["positive"] == "false"]
    positives = sum(s["positive"] == "true" for s in known)
    name = f"{row['monitor']} at {row['allowed_fpr']}"

    same(f"{name}: positives", number(row["positives"]), positives)
    same(f"{name}: negatives", number(row["negatives"]), len(known) - positives)
    same(f"{name}: unknown", number(row["unknown"]), len(mine) - len(known))
    if known:
        same(f"{name}: coverage", number(row["coverage"]), len(answered) / len(known))
        for end, value in zip(("low", "high"), wilson(len(answered), len(known))):
            same(f"{name}: coverage_{end}", number(row[f"coverage_{end}"]), value)

    a, b = [float(s["score"]) for s in ones], [float(s["score"]) for s in others]
    if a and b:
        area = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
        same(f"{name}: auc", number(row["auc"]), area)
        for end, value in zip(("low", "high"), newcombe(area, len(a), len(b))):
            found = number(row[f"auc_{end}"])
            if found is None or abs(found - value) > 1e-6:
                same(f"{name}: auc_{end}", found, value)

        allowed = float(row["allowed_fpr"])
        best = (0, 0, math.inf)
        for threshold in sorted(set(a + b), reverse=True):
            hits, alarms = sum(x >= threshold for x in a), sum(x >= threshold for x in b)
            point = [p for p in points if p["monitor"] == row["monitor"] and p["view"] == row["view"] and p["threshold"] and float(p["threshold"]) == threshold]
            same(f"{name}: points at {threshold}", len(point), 1)
            same(f"{name}: hits at {threshold}", number(point[0]["hits"]), hits)
            same(f"{name}: alarms at {threshold}", number(point[0]["false_alarms"]), alarms)
            if alarms / len(b) <= allowed + 1e-12 and hits > best[0]:
                best = (hits, alarms, threshold)
        hits, alarms, threshold = best
        same(f"{name}: threshold", number(row["threshold"]), None if math.isinf(threshold) else threshold)
        for what, part, of in [("tpr", hits, len(a)), ("fpr", alarms, len(b)), ("recall", hits, positives)]:
            same(f"{name}: {what}", number(row[what]), part / of)
            for end, value in zip(("low", "high"), wilson(part, of)):
                same(f"{name}: {what}_{end}", number(row[f"{what}_{end}"]), value)
        timed = [float(s["seconds"]) for s in ones if s["seconds"] != "" and float(s["score"]) >= threshold]
        same(f"{name}: response_runs", number(row["response_runs"]), len(timed))
        middle, low, high = median(timed) if timed else (None, None, None)
        same(f"{name}: response_seconds", number(row["response_seconds"]), middle)
        same(f"{name}: response_low", number(row["response_low"]), low)
        same(f"{name}: response_high", number(row["response_high"]), high)
    checked += 1

print(f"{checked} rows checked, {problems} differences")
sys.exit(problems > 0 or checked == 0)
