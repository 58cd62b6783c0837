"""The daily look at the live model: whether it is asked what it was trained on."""

from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent
from kfp.dsl.pipeline_context import Pipeline

from setlist import steps
from setlist_pipelines.placement import Placement, pipeline_config


def monitoring(placement: Placement | None = None) -> GraphComponent:
    """The pipeline.

    Args:
        placement: what each step gets on a cluster; None for a laptop.
    """

    @dsl.pipeline(
        name="monitoring",
        description="Compare what the live model is asked with what it was trained on, and with "
        "what the transformation makes of the same listeners' rows.",
        pipeline_config=pipeline_config(placement.platform) if placement else None,
    )
    def pipeline(
        name: str,
        store: str,
        as_of: str,
        data: dict[str, Any],
        window: dict[str, Any],
        curation: dict[str, Any],
        engine: dict[str, Any],
        inputs: list[str],
        policy: dict[str, Any],
        log: str,
        days: int,
    ) -> None:
        """One run. `log` and `days` are the section `monitoring` of the settings file."""
        run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        failure = steps.announce_failure(
            store=store, name=name, run_id=run, monitoring=True
        ).set_display_name("Look for a failure")
        with dsl.ExitHandler(failure, name="monitoring"):
            # 1. Plan: the window and the live revision. Never cached.
            plan = steps.plan_monitoring(
                name=name, store=store, as_of=as_of, data=data, window=window
            ).set_display_name("Plan the comparison")
            plan.set_caching_options(False)

            # 2. The tables, by the steps that prepare a training.
            curated = steps.curate(
                data=data,
                data_fingerprint=plan.outputs["data_fingerprint"],
                window=plan.outputs["window"],
                curation=curation,
                engine=engine,
            ).set_display_name("Curate the data")
            transformed = steps.transform_whole(
                dataset=curated.outputs["dataset"],
                window=plan.outputs["window"],
                inputs=inputs,
                engine=engine,
            ).set_display_name("Transform all days")

            # 3. The requests, beside the profile of the live model and beside the tables.
            compared = steps.compare_requests(
                log=log,
                days=days,
                store=store,
                name=name,
                revision=plan.outputs["revision"],
                features=transformed.outputs["features"],
                policy=policy,
            ).set_display_name("Compare the requests")
            compared.set_caching_options(False)

            # 4. What came of it. The run fails here where a bound is exceeded.
            steps.announce_skew(
                store=store, name=name, run_id=run, verdict=compared.outputs["verdict"]
            ).set_display_name("Announce the comparison").set_caching_options(False)

        if placement:
            placement.place(Pipeline.get_default_pipeline().tasks.values())

    return pipeline
