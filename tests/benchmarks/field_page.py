"""The tables of `docs/explanation/comparison.md`, from what each tool said of the same lists."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.field_plan import BOUNDS, HONEST, TRIALS, Trial

NAMES = {"tfma": "TFMA", "rectools": "RecTools", "evidently": "Evidently", "setlist": "setlist"}
SHOWN = 2
"""Groups that are named in a cell; more are counted."""
SAME = 1e-6
METRICS = {
    "ndcg": "ndcg@10",
    "recall": "recall@10",
    "precision": "precision@10",
    "mrr": "mrr@10",
    "hit_rate": "hit_rate@10",
    "map": "map@10",
    "coverage": "coverage@10",
    "gini": "gini@10",
    "personalization": "personalization@10",
    "novelty": "novelty@10",
    "popularity": "popularity@10",
    "intra_list_diversity": "intra_list_diversity@10",
}
ALL_RELEVANT = "divides by all relevant items, also where they are more than k"
DIFFERS = {
    ("map", "rectools"): ALL_RELEVANT,
    ("map", "evidently"): ALL_RELEVANT,
    ("coverage", "evidently"): "a share of the items that were played before, not of the catalogue",
    ("gini", "evidently"): "over the items that are shown; the others are not counted as zeros",
    ("novelty", "rectools"): "an unplayed item counts as played by one listener, not by half a one",
    ("novelty", "evidently"): "leaves out items that nobody played",
    ("popularity", "evidently"): "leaves out items that nobody played",
    ("intra_list_diversity", "rectools"): "counts the tags in which two items differ, not a share",
}
"""Why a value is not ours; a value that differs without a reason here is a fault of the page."""


def tables(kept: Mapping[str, Any], draws: Sequence[float]) -> str:
    """All tables, each after its heading."""
    parts = [
        "### What each says of the lists",
        table(list(judged(kept))),
        luck(draws),
        "### The values of the honest lists",
        table(list(measured_values(kept))),
        "### What it costs",
        table(list(costs(kept))),
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown, the first row as its head."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def judged(kept: Mapping[str, Any]) -> Iterator[list[str]]:
    """One row a trial, one column a tool."""
    yield ["lists", "what is wrong with them", "ndcg@10", *NAMES.values()]
    for trial in TRIALS:
        ndcg = kept["setlist"]["outcome"]["trials"][trial.name]["ndcg"]
        own, rival = ndcg[trial.name], ndcg[trial.against[0]]
        yield [
            f"`{trial.name}`",
            trial.does,
            f"{own:.4f} ({own / rival - 1:+.0%})",
            by_tfma(kept["tfma"]["outcome"]["rivals"][trial.against[0]], trial),
            by_rectools(kept["rectools"]["outcome"]["trials"], trial),
            by_evidently(kept["evidently"]["outcome"]["trials"][trial.name]),
            by_setlist(kept["setlist"]["outcome"]["trials"][trial.name]),
        ]


def by_setlist(outcome: Mapping[str, Any]) -> str:
    """The decision and the rules that did not pass."""
    broken = [reason for reason in outcome["reasons"] if reason["outcome"] != "pass"]
    rules = "; ".join(_rule(reason) for reason in broken)
    return f"**{outcome['decision']}**" + (f": {rules}" if rules else "")


def _rule(reason: Mapping[str, Any]) -> str:
    name, interval = reason["rule"], ""
    if reason["outcome"] == "undecided" and reason["low"] is not None:
        interval = f" {reason['value']:+.4f} [{reason['low']:+.4f}, {reason['high']:+.4f}]"
    return name + interval


def by_tfma(outcome: Mapping[str, Any], trial: Trial) -> str:
    """Whether the thresholds hold, where not, and the interval of the difference."""
    at = {(one["group"], one["model"], one["diff"]): one for one in outcome["values"]}
    failed: dict[str, str] = {}
    for failure in outcome["failures"]:
        if failure["model"] != trial.name:
            continue
        group = failure["group"]
        if failure["diff"]:
            base = at[group, trial.against[0], False]["value"]
            failed[group] = _change(group, failure["value"] / base)
        else:
            failed[f"{group} bound"] = f"{_group(group)} {failure['value']:.2f}, above the bound"
    diff = at["", trial.name, True]
    interval = f"difference {diff['value']:+.4f} [{diff['low']:+.4f}, {diff['high']:+.4f}]"
    return f"{_outcome(list(failed.values()))}; {interval}"


def by_rectools(trials: Mapping[str, Any], trial: Trial) -> str:
    """It has no rule: the group that a reader would find who looks for the lowest."""
    own, theirs = trials[trial.name]["groups"], trials[trial.against[0]]["groups"]
    changes = {group: own[group] / theirs[group] - 1 for group in own}
    worst = min(changes, key=lambda group: changes[group])
    return f"no rule; lowest {_change(worst, changes[worst])}"


def by_evidently(outcome: Mapping[str, Any]) -> str:
    """Whether the conditions hold, and where not."""
    failed = []
    for failure in outcome["failures"]:
        group, value = failure["group"], failure["value"]
        if "lte" in failure:
            failed.append(f"all {value:.2f}, above the bound")
        elif "gte" in failure:
            factor = 1 - BOUNDS["tolerance"] if group else 1 + BOUNDS["better"]
            failed.append(_change(group, value / failure["gte"] * factor - 1))
        else:
            failed.append(f"coverage {value:.3f}")
    return _outcome(failed)


def _outcome(failed: Sequence[str]) -> str:
    if not failed:
        return "**passes**"
    more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    return f"**fails**: {', '.join(failed[:SHOWN])}{more}"


def _change(group: str, change: float) -> str:
    return f"{_group(group)} {change:+.0%}"


def _group(group: str) -> str:
    name = group.replace("_", " ")
    return f"{name}not known" if name.endswith(" ") else name or "all"


def luck(draws: Sequence[float]) -> str:
    """What is true of the lists a hair better."""
    mean, bound = sum(draws) / len(draws), BOUNDS["better"]
    above = sum(draw > bound for draw in draws)
    return (
        f"`a_hair_better` is the luckiest of {len(draws)} draws, none of which is better than "
        "another but by chance. Over all of them the mean difference to `popular_by_country` is "
        f"{mean:+.1%}; {above} of them show more than {bound:+.0%}, and the luckiest shows "
        f"{max(draws):+.1%}."
    )


def measured_values(kept: Mapping[str, Any]) -> Iterator[list[str]]:
    """One row a metric: ours, and whether the others have the same.

    Raises:
        ValueError: for a value that differs, and no definition says why.
    """
    others = [name for name in NAMES if name != "setlist"]
    yield ["metric", "setlist", *(NAMES[name] for name in others)]
    ours = kept["setlist"]["outcome"]["values"][HONEST]
    for metric, label in METRICS.items():
        cells = []
        for name in others:
            value = _values(kept, name).get(metric)
            if value is None:
                cells.append("")
            elif abs(value - ours[metric]) <= SAME * max(1, abs(ours[metric])):
                cells.append(f"same ({_digits(value, ours[metric])} digits)")
            elif (metric, name) in DIFFERS:
                cells.append(f"{value:.6g}: {DIFFERS[metric, name]}")
            else:
                raise ValueError(f"{name}: {label} is {value}, ours is {ours[metric]}")
        yield [label, f"{ours[metric]:.6g}", *cells]


def _values(kept: Mapping[str, Any], name: str) -> Mapping[str, float]:
    outcome = kept[name]["outcome"]
    if name != "tfma":
        return outcome["trials"][HONEST]["values"]
    rival = next(trial.against[0] for trial in TRIALS if trial.name == HONEST)
    at = {
        (one["group"], one["model"], one["diff"]): one["value"]
        for one in outcome["rivals"][rival]["values"]
    }
    return {"ndcg": at["", HONEST, False]}


def _digits(value: float, ours: float) -> int:
    """How many significant digits two values share, at most 15."""
    digits = 15
    while digits > 1 and f"{value:.{digits - 1}e}" != f"{ours:.{digits - 1}e}":
        digits -= 1
    return digits


def costs(kept: Mapping[str, Any]) -> Iterator[list[str]]:
    """One row a tool."""
    yield ["tool", "version", "CPU seconds", "peak memory in MiB"]
    for name, label in NAMES.items():
        one = kept[name]
        yield [label, one["version"], f"{one['cpu']:.0f}", f"{one['outcome']['mib']:,.0f}"]
