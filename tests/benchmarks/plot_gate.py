"""Draw docs/pictures/gate-power.svg from what gate.py left; needs matplotlib.

The peers' Python has it:
.venv-peers/bin/python tests/benchmarks/plot_gate.py build/gate/results.json \\
  docs/pictures/gate-power.svg
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

mpl.rcParams |= {"svg.hashsalt": "gate", "font.size": 10}
PANELS = {
    "heuristic": "over the best heuristic, nothing live",
    "live": "over the live model",
}
NOMINAL = 0.025


def draw(results: list[dict], path: Path) -> None:
    """One row of panels a population, one panel a rival, one curve a lift."""
    names = list(dict.fromkeys(one["population"] for one in results))
    figure, panels = plt.subplots(
        len(names), 2, figsize=(9, 0.6 + 3.2 * len(names)), sharey=True, squeeze=False
    )
    for row, name in zip(panels, names, strict=True):
        for panel, (rival, title) in zip(row, PANELS.items(), strict=True):
            curves: dict[float, list[tuple[int, float]]] = {}
            for one in results:
                kind, _, lift = one["truth"].partition(" +")
                if one["population"] == name and kind == rival and lift:
                    point = one["listeners"], one["promoted"] / one["times"]
                    curves.setdefault(float(lift.rstrip("%")), []).append(point)
            shades = mpl.colormaps["viridis_r"]
            for place, (lift, points) in enumerate(sorted(curves.items())):
                colour = shades(0.15 + 0.85 * place / max(1, len(curves) - 1))
                panel.plot(
                    *zip(*sorted(points), strict=True), "o-", ms=4, c=colour, label=f"{lift:g}%"
                )
            panel.axhline(NOMINAL, color="grey", lw=1, ls=":", label="nominal")
            panel.set_title(f"{name}: {title}", fontsize=10)
            panel.set_xscale("log")
            ticks = sorted({one["listeners"] for one in results})
            panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            panel.set_xticks([], minor=True)
            panel.set_ylim(-0.03, 1.03)
            panel.grid(alpha=0.25)
        row[0].set_ylabel("share promoted")
    for panel in panels[-1]:
        panel.set_xlabel("listeners evaluated")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, title="true lift", loc="outside right upper", frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    with plt.rc_context({"figure.constrained_layout.use": True}):
        draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
