"""The product: retrain a recommender, prove it, show it, and ship it only if it is better."""

from collections.abc import Sequence
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent
from kfp.dsl.pipeline_context import Pipeline

from setlist import steps
from setlist.models.selection import ALONE
from setlist_pipelines.placement import Placement, pipeline_config


def retraining(
    candidates: Sequence[str] = (ALONE,),
    refit: bool = False,
    warm_start: bool = False,
    placement: Placement | None = None,
) -> GraphComponent:
    """The pipeline; its graph depends on what is known when it is compiled.

    Args:
        candidates: names, each a task of its own; only the best of them meets the gate.
        refit: whether a winner is trained again on all days before it is pushed.
        warm_start: whether training starts from the live model.
        placement: what each step gets on a cluster; None for a laptop, where kfp would repeat
            failed steps, too.
    """
    labels = list(candidates)

    @dsl.pipeline(
        name="retraining",
        description="Retrain a recommender, prove it against simple rules, simple learners and the "
        "live model, show what it would recommend, and push it only if it is better.",
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
        heuristics: dict[str, Any],
        model: dict[str, Any],
        candidates: dict[str, Any],
        refit_overlap: float,
        evaluation: dict[str, Any],
        policy: dict[str, Any],
        only_new_data: bool,
        verify: list[str],
    ) -> None:
        """One run. Every argument is a section of the settings file (`settings.file`)."""
        run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        failure = steps.announce_failure(
            store=store, name=name, run_id=run, monitoring=False
        ).set_display_name("Look for a failure")
        with dsl.ExitHandler(failure, name="retraining"):
            # 1. Plan: all that depends on the time. Never cached, so that all else can be.
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
            # A schedule has nothing to do where nothing was played since.
            changed = steps.news(
                store=store,
                name=name,
                data_fingerprint=plan.outputs["data_fingerprint"],
                only_new_data=only_new_data,
            ).set_display_name("Look for new data")
            changed.set_caching_options(False)

            with dsl.If(changed.output == "new", name="new-data"):
                # 2. Data: clean tables, one cut in time, checked, features fitted before the cut.
                curated = steps.curate(
                    data=data,
                    data_fingerprint=plan.outputs["data_fingerprint"],
                    window=plan.outputs["window"],
                    curation=curation,
                    engine=engine,
                ).set_display_name("Curate the data")
                dataset = curated.outputs["dataset"]
                live = (
                    steps.resolve_live(
                        store=store, name=name, rivals=plan.outputs["rivals"], verify=verify
                    )
                    .set_display_name("Fetch the live model")
                    .outputs["live"]
                )
                # The gate for data: it ends the run here where the tables are not what was meant.
                checked = steps.check_data(
                    dataset=dataset,
                    window=plan.outputs["window"],
                    live=live,
                    inputs=inputs,
                    policy=policy,
                    engine=engine,
                ).set_display_name("Check the data")
                checked.set_caching_options(False)
                transformed = steps.transform(
                    dataset=dataset, window=plan.outputs["window"], inputs=inputs, engine=engine
                ).set_display_name("Transform to features")
                features = transformed.after(checked).outputs["features"]

                # 3. Models: simple rules, simple learners and the candidates, side by side.
                fitted = (
                    steps.fit_heuristics(features=features, heuristics=heuristics, engine=engine)
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

                # 4. Choice: by plays held out of training. Only the winner meets the gate.
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
                        heuristics=fitted,
                        candidate=best,
                        live=live,
                        evaluation=evaluation,
                        operations=plan.outputs["operations"],
                    )
                    .set_display_name("Evaluate all models")
                    .outputs["evaluations"]
                )

                # 6. Verdict: what becomes of the candidate, each reason with its number, and what
                # goes live.
                judged = steps.gate(
                    evaluations=evaluations, policy=policy, head=plan.outputs["head"]
                ).set_display_name("Judge the candidate")
                verdict = judged.outputs["verdict"]

                # 7. Report: what people look at, whatever the verdict. It is kept in the store, so
                # nothing goes live without it. Never cached, because it names its run.
                shown = steps.report(
                    evaluations=evaluations,
                    verdict=verdict,
                    training=training,
                    curation=curated.outputs["report"],
                    data_verdict=checked.outputs["verdict"],
                    live=live,
                    store=store,
                    name=name,
                    run_id=run,
                ).set_display_name("Write the report")
                shown.set_caching_options(False)

                with dsl.If(judged.outputs["Output"] != "unchanged", name="promoted"):
                    # 8. Refit, where it is asked for: the winner once more, on all days.
                    ships = {}
                    if refit:
                        whole = steps.transform_whole(
                            dataset=dataset,
                            window=plan.outputs["window"],
                            inputs=inputs,
                            engine=engine,
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
                        run_id=run,
                        candidate=best,
                        heuristics=fitted,
                        evaluations=evaluations,
                        training=training,
                        verdict=verdict,
                        report=shown.outputs["page"],
                        data_fingerprint=plan.outputs["data_fingerprint"],
                        verify=verify,
                        **ships,
                    ).set_display_name("Push to the store")
                    pushed.set_caching_options(False)
                    announced = steps.announce(
                        store=store,
                        name=name,
                        run_id=run,
                        verdict=verdict,
                        data_verdict=checked.outputs["verdict"],
                        pushed=pushed.outputs["pushed"],
                    ).set_display_name("Announce the promotion")
                    announced.set_caching_options(False)

                with dsl.Else(name="refused"):
                    announced = steps.announce(
                        store=store,
                        name=name,
                        run_id=run,
                        verdict=verdict,
                        data_verdict=checked.outputs["verdict"],
                        report=shown.outputs["page"],
                    ).set_display_name("Announce the refusal")
                    announced.set_caching_options(False)

            with dsl.Else(name="nothing-new"):
                steps.announce(store=store, name=name, run_id=run).set_display_name(
                    "Announce no new data"
                ).set_caching_options(False)

        if placement:
            placement.place(Pipeline.get_default_pipeline().tasks.values())

    return pipeline
