"""The product: retrain a recommender, prove it, show it, and ship it only if it is better."""

from collections.abc import Sequence
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components import steps
from components.models.choose import ALONE


def retraining(
    candidates: Sequence[str] = (ALONE,), refit: bool = False, warm_start: bool = False
) -> GraphComponent:
    """The pipeline; its graph depends on what is known when it is compiled.

    Args:
        candidates: names, each a task of its own; only the best of them meets the gate.
        refit: whether a winner is trained again on all days before it is pushed.
        warm_start: whether training starts from the live model.
    """
    labels = list(candidates)

    @dsl.pipeline(
        name="retraining",
        description="Retrain a recommender, prove it against simple rules and the live model, "
        "show what it would recommend, and push it only if it is better.",
    )
    def pipeline(
        name: str,
        store: str,
        as_of: str,
        data: dict[str, Any],
        window: dict[str, Any],
        curation: dict[str, Any],
        inputs: list[str],
        heuristics: dict[str, Any],
        model: dict[str, Any],
        candidates: dict[str, Any],
        refit_overlap: float,
        evaluation: dict[str, Any],
        policy: dict[str, Any],
    ) -> None:
        """One run. Every argument is a section of the settings file; see `pipelines.config`."""
        # 1. Plan: what "now" decides is settled once. Never cached, so that all else can be.
        plan = steps.plan(
            name=name,
            store=store,
            as_of=as_of,
            data=data,
            window=window,
            policy=policy,
            candidates=candidates,
            compiled=labels,
        ).set_display_name("Plan the run")
        plan.set_caching_options(False)

        # 2. Data: clean tables, one cut in time, features fitted before it.
        curated = steps.curate(
            data=data,
            data_fingerprint=plan.outputs["data_fingerprint"],
            window=plan.outputs["window"],
            curation=curation,
        ).set_display_name("Curate the data")
        dataset = curated.outputs["dataset"]
        features = (
            steps.transform(dataset=dataset, window=plan.outputs["window"], inputs=inputs)
            .set_display_name("Transform to features")
            .outputs["features"]
        )

        # 3. Models: what is live today, the simple rules, and the candidates, side by side.
        live = (
            steps.resolve_live(store=store, name=name, rivals=plan.outputs["rivals"])
            .set_display_name("Fetch the live model")
            .outputs["live"]
        )
        rules = (
            steps.fit_heuristics(features=features, heuristics=heuristics)
            .set_display_name("Fit the heuristics")
            .outputs["models"]
        )
        start = {"live": live} if warm_start else {}
        trained = [
            steps.train(
                features=features,
                model=model,
                candidates=candidates,
                label=label,
                store=store,
                **start,
            ).set_display_name(f"Train {'the ' if label == ALONE else ''}{label}")
            for label in labels
        ]

        # 4. Choice: by plays that were held out of training. Only the winner meets the gate.
        best, training = trained[0].outputs["candidate"], trained[0].outputs["training"]
        for label, other in zip(labels[1:], trained[1:], strict=True):
            choice = steps.choose(
                first=best,
                first_training=training,
                second=other.outputs["candidate"],
                second_training=other.outputs["training"],
            ).set_display_name(f"Compare with {label}")
            best, training = choice.outputs["better"], choice.outputs["training"]

        # 5. Proof: the same listeners, candidates and exclusions for every model.
        evaluations = (
            steps.evaluate(
                dataset=dataset,
                features=features,
                heuristics=rules,
                candidate=best,
                live=live,
                evaluation=evaluation,
            )
            .set_display_name("Evaluate all models")
            .outputs["evaluations"]
        )

        # 6. Verdict: promote, reject or undecided, each reason with its number.
        judged = steps.gate(
            evaluations=evaluations, policy=policy, head=plan.outputs["head"]
        ).set_display_name("Judge the candidate")
        verdict = judged.outputs["verdict"]

        # 7. Report: what people look at, whatever the verdict.
        steps.report(evaluations=evaluations, verdict=verdict, training=training).set_display_name(
            "Write the report"
        )

        with dsl.If(judged.outputs["Output"] == "promote", name="promoted"):
            # 8. Refit, where it is asked for: the winner once more, on all days.
            ships = {}
            if refit:
                whole = steps.transform_whole(
                    dataset=dataset, window=plan.outputs["window"], inputs=inputs
                ).set_display_name("Transform all days")
                again = steps.refit(
                    whole=whole.outputs["features"],
                    features=features,
                    dataset=dataset,
                    evaluations=evaluations,
                    training=training,
                    verdict=verdict,
                    evaluation=evaluation,
                    policy=policy,
                    overlap=refit_overlap,
                    store=store,
                    **start,
                ).set_display_name("Refit the winner")
                ships = {"refitted": again.outputs["refitted"]}

            # 9. Push, behind the gate. Never cached; idempotent on the run's id.
            pushed = steps.push(
                store=store,
                name=name,
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                candidate=best,
                heuristics=rules,
                verdict=verdict,
                **ships,
            ).set_display_name("Push to the store")
            pushed.set_caching_options(False)

    return pipeline
