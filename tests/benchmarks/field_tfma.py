"""The comparison by TensorFlow Model Analysis, in an environment of its own.

`field_tfma.py FOLDER PLAN` prints what it says as one line of JSON.

TFMA compares predictions of several models for the same examples with those of one baseline. An
example is a listener and an item: of the ten of a candidate, of the ten of the rival, or of what is
relevant. The last are needed, since TFMA knows of no relevant items but those among the examples.
"""

import contextlib
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

GROUPS = ("country", "age_band", "history_length")
UNLISTED = 1_000.0
"""The rank of an item that a model does not list."""
NDCG = {"class_name": "NDCG", "config": json.dumps({"gain_key": "gain"})}


def examples(folder: Path, models: Sequence[str]) -> pd.DataFrame:
    """One row a listener and item, with minus the ranks of all models as scores."""
    table = pd.read_parquet(folder / "truth.parquet").assign(gain=1.0)
    for model in models:
        lists = pd.read_parquet(folder / "lists" / f"{model}.parquet")
        table = table.merge(
            lists.rename(columns={"rank": model}), on=["user_id", "item_id"], how="outer"
        )
    table["gain"] = table["gain"].fillna(0.0)
    for model in models:
        table[model] = -table[model].astype(float).fillna(UNLISTED)
    groups = pd.read_parquet(folder / "groups.parquet")
    return table.merge(groups, on="user_id")


def config(models: Sequence[str], rival: str, bounds: dict[str, float]) -> Any:
    """The wishes, as far as TFMA can be told."""
    from google.protobuf.wrappers_pb2 import DoubleValue, Int32Value
    from tensorflow_model_analysis.proto import config_pb2 as pb

    def change(relative: float) -> Any:
        return pb.GenericChangeThreshold(
            relative=DoubleValue(value=relative), direction=pb.HIGHER_IS_BETTER
        )

    slices = [pb.SlicingSpec(feature_keys=[name]) for name in GROUPS]
    believable = bounds["believable"] * bounds["rival"]
    ndcg = pb.MetricConfig(
        **NDCG,
        # Not `threshold`, which holds for every slice.
        per_slice_thresholds=[
            pb.PerSliceMetricThreshold(
                slicing_specs=[pb.SlicingSpec()],
                threshold=pb.MetricThreshold(
                    value_threshold=pb.GenericValueThreshold(
                        upper_bound=DoubleValue(value=believable)
                    ),
                    change_threshold=change(bounds["better"]),
                ),
            ),
            pb.PerSliceMetricThreshold(
                slicing_specs=slices,
                threshold=pb.MetricThreshold(change_threshold=change(-bounds["tolerance"])),
            ),
        ],
    )
    options = pb.Options(min_slice_size=Int32Value(value=int(bounds["at_least"])))
    options.compute_confidence_intervals.value = True
    options.confidence_intervals.method = pb.ConfidenceIntervalOptions.JACKKNIFE
    return pb.EvalConfig(
        model_specs=[
            pb.ModelSpec(
                name=model,
                model_type="materialized_prediction",
                prediction_key=model,
                label_key="gain",
                is_baseline=model == rival,
            )
            for model in models
        ],
        slicing_specs=[pb.SlicingSpec(), *slices],
        metrics_specs=[
            pb.MetricsSpec(
                metrics=[ndcg],
                query_key="user_id",
                model_names=list(models),
                binarize=pb.BinarizationOptions(top_k_list=pb.RepeatedInt32Value(values=[10])),
            )
        ],
        options=options,
    )


def analyse(folder: Path, models: Sequence[str], rival: str, bounds: dict[str, float]) -> Any:
    """Every value with its interval, and the failures of the thresholds."""
    import apache_beam as beam
    import pyarrow as pa
    import tensorflow_model_analysis as tfma
    from tfx_bsl.arrow import table_util

    rows = table_util.CanonicalizeRecordBatch(
        pa.RecordBatch.from_pandas(examples(folder, models), preserve_index=False)
    )
    chosen = config(models, rival, bounds)
    # `analyze_raw_data`, which is meant for data frames, has no baseline.
    shared = [
        tfma.default_eval_shared_model("", model_name=model, eval_config=chosen) for model in models
    ]
    with tempfile.TemporaryDirectory() as output:
        with beam.Pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create([rows])
                | tfma.ExtractEvaluateAndWriteResults(
                    eval_shared_model=shared, eval_config=chosen, output_path=output
                )
            )
        validation = tfma.load_validation_result(output)
        values = [
            {
                "group": slice_of(part.slice_key),
                "model": metric.key.model_name,
                "diff": metric.key.is_diff,
                "value": metric.value.double_value.value,
                "low": metric.confidence_interval.lower_bound.double_value.value,
                "high": metric.confidence_interval.upper_bound.double_value.value,
            }
            for part in tfma.load_metrics(output)
            for metric in part.metric_keys_and_values
            if metric.key.name == "ndcg"
        ]
    failures = [
        {
            "group": slice_of(part.slice_key),
            "model": failure.metric_key.model_name,
            "diff": failure.metric_key.is_diff,
            "value": failure.metric_value.double_value.value,
            "message": failure.message,
        }
        for part in validation.metric_validations_per_slice
        for failure in part.failures
    ]
    return {"values": values, "failures": failures, "missing": len(validation.missing_slices)}


def slice_of(key: Any) -> str:
    """The name of a slice; "" for all."""
    return ", ".join(
        f"{single.column} {single.bytes_value.decode()}" for single in key.single_slice_keys
    )


def main() -> None:
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    outcome = {}
    with contextlib.redirect_stdout(sys.stderr):
        for rival, names in plan["rivals"].items():
            bounds = plan["bounds"] | {"rival": plan["ndcg"][rival]}
            outcome[rival] = analyse(folder, [*names, rival], rival, bounds)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rivals": outcome, "mib": mib}))


if __name__ == "__main__":
    main()
