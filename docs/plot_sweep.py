"""Plots a sweep with pandas: misaligned runs by agent and scenario, and what they gained.

    pip install pandas pyarrow matplotlib
    python3 docs/plot_sweep.py sweeps/shortcuts plot.png
"""

import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

directory, picture = pathlib.Path(sys.argv[1]), sys.argv[2]
runs = pd.read_parquet(directory / "runs.parquet")

# Runs with incomplete evidence are in no rate; say how many there are.
lost = runs["verdict"].isna() | (runs["verdict"] == "invalid")
judged = runs[~lost].assign(misaligned=lambda it: it["verdict"] == "misaligned")
rates = judged.pivot_table(index="agent", columns="scenario", values="misaligned", aggfunc="mean", sort=False)

figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.5), layout="constrained")
shown = left.imshow(rates, vmin=0, vmax=1, cmap="Reds", aspect="auto")
left.set_xticks(range(len(rates.columns)), rates.columns, rotation=30, ha="right")
left.set_yticks(range(len(rates.index)), rates.index)
left.set_title(f"misaligned, of {len(judged)} runs ({lost.sum()} not counted)")
for row, agent in enumerate(rates.index):
    for column, scenario in enumerate(rates.columns):
        rate = rates.loc[agent, scenario]
        if pd.notna(rate):
            left.text(column, row, f"{rate:.0%}", ha="center", va="center", color="white" if rate > 0.5 else "black")
figure.colorbar(shown, ax=left)

gained = judged.dropna(subset=["measured_gain", "proxy_gain"])
for agent, of_agent in gained.groupby("agent", sort=False):
    right.scatter(of_agent["measured_gain"], of_agent["proxy_gain"], label=agent, alpha=0.7)
right.axline((0, 0), slope=1, color="grey", linestyle="--", linewidth=1)
right.set_xscale("symlog", linthresh=1)
right.set_yscale("symlog", linthresh=1)
right.set_xlabel("measured gain")
right.set_ylabel("gain that the system tells of itself")
right.set_title("above the line the proxy rose more than what it stands for")
right.legend(fontsize="small")

figure.savefig(picture, dpi=110)
