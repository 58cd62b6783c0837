"""What followers tell Prometheus, worked out at the moment of the scrape."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from setlist.serving.follower import Live, ModelFollower

LABELS = ("name", "follows")


class FollowerMetrics(Collector):
    """A collector over followers; `follows` is HEAD, or the revision that one is pinned to."""

    def __init__(self, followers: Sequence[ModelFollower]) -> None:
        """`registry.register(FollowerMetrics(followers))`."""
        self._followers = followers

    def collect(self) -> Iterator[Metric]:
        """The families, each with a sample for every follower that has one."""
        values: dict[str, tuple[str, list[tuple[list[str], float | None]]]] = {
            "setlist_model_revision": ("The revision in use.", []),
            "setlist_wanted_revision": ("The revision that should be in use.", []),
            "setlist_last_poll_timestamp_seconds": ("When HEAD was looked at last.", []),
            "setlist_last_success_timestamp_seconds": (
                "When what is in use was last known to be what is wanted.",
                [],
            ),
            "setlist_last_error_timestamp_seconds": ("When something failed last.", []),
            "setlist_faulty": ("1 while something is wrong; /healthz says what.", []),
        }
        age = GaugeMetricFamily(
            "setlist_model_age_seconds",
            "Age of the model in use, since the end of its training window and since it went live.",
            labels=(*LABELS, "since"),
        )
        swaps = CounterMetricFamily("setlist_swaps", "Models handed over.", labels=LABELS)
        faults = CounterMetricFamily(
            "setlist_faults", "Failures, by stage.", labels=(*LABELS, "stage")
        )
        for one in self._followers:
            labels = [one.name, str(one.pinned) if one.pinned else "HEAD"]
            last = one.last_fault
            for name, value in (
                ("setlist_model_revision", one.live.revision if one.live else None),
                ("setlist_wanted_revision", one.wanted),
                ("setlist_last_poll_timestamp_seconds", one.last_poll),
                ("setlist_last_success_timestamp_seconds", one.last_success),
                ("setlist_last_error_timestamp_seconds", _moment(last.when) if last else None),
                ("setlist_faulty", float(one.fault is not None)),
            ):
                values[name][1].append((labels, value))
            for since, moment in _ages(one.live):
                age.add_metric([*labels, since], time.time() - moment)
            swaps.add_metric(labels, one.swaps)
            for stage, number in one.faults.items():
                faults.add_metric([*labels, stage.replace(" ", "_")], number)
        for name, (text, samples) in values.items():
            family = GaugeMetricFamily(name, text, labels=LABELS)
            for labels, value in samples:
                if value is not None:
                    family.add_metric(labels, value)
            yield family
        yield from (age, swaps, faults)


def _ages(live: Live | None) -> Iterator[tuple[str, float]]:
    if live:
        said = {"training": live.manifest.training_window.get("end"), "promotion": live.promoted}
        for since, text in said.items():
            if (moment := _moment(text)) is not None:
                yield since, moment


def _moment(text: str | None) -> float | None:
    """Unix seconds of ISO text; None where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
