"""The product: retrain a recommender, prove it, show it, and ship it only if it is better."""

from typing import Any

from kfp import dsl

from components import steps


@dsl.pipeline(
    name="retraining",
    description="Retrain a recommender, prove it against simple rules and the live model, "
    "show what it would recommend, and push it only if it is better.",
)
def retraining(
    name: str,
    store: str,
    as_of: str,
    data: dict[str, Any],
    window: dict[str, Any],
    curation: dict[str, Any],
    inputs: list[str],
    heuristics: dict[str, Any],
    model: dict[str, Any],
    evaluation: dict[str, Any],
    policy: dict[str, Any],
) -> None:
    """One run. Every argument is a section of the settings file; see `pipelines.config`."""
    # 1. Plan: what "now" decides is settled once. Never cached, so that all else can be.
    plan = steps.plan(
        name=name, store=store, as_of=as_of, data=data, window=window, policy=policy
    ).set_display_name("Plan the run")
    plan.set_caching_options(False)

    # 2. Data: clean tables, one cut in time, features fitted before it.
    curated = steps.curate(
        data=data,
        data_fingerprint=plan.outputs["data_fingerprint"],
        window=plan.outputs["window"],
        curation=curation,
    ).set_display_name("Curate the data")
    transformed = steps.transform(
        dataset=curated.outputs["dataset"], window=plan.outputs["window"], inputs=inputs
    ).set_display_name("Transform to features")
    features = transformed.outputs["features"]

    # 3. Models: the simple rules, the candidate, and what is live today.
    rules = steps.fit_heuristics(features=features, heuristics=heuristics).set_display_name(
        "Fit the heuristics"
    )
    trained = steps.train(features=features, model=model).set_display_name("Train the two-tower")
    live = steps.resolve_live(
        store=store, name=name, rivals=plan.outputs["rivals"]
    ).set_display_name("Fetch the live model")

    # 4. Proof: the same listeners, candidates and exclusions for every model.
    evaluated = steps.evaluate(
        dataset=curated.outputs["dataset"],
        features=features,
        heuristics=rules.outputs["models"],
        candidate=trained.outputs["candidate"],
        live=live.outputs["live"],
        evaluation=evaluation,
    ).set_display_name("Evaluate all models")

    # 5. Verdict: promote, reject or undecided, each reason with its number.
    judged = steps.gate(
        evaluations=evaluated.outputs["evaluations"],
        policy=policy,
        head=plan.outputs["head"],
    ).set_display_name("Judge the candidate")

    # 6. Report: what people look at, whatever the verdict.
    steps.report(
        evaluations=evaluated.outputs["evaluations"], verdict=judged.outputs["verdict"]
    ).set_display_name("Write the report")

    # 7. Push, behind the gate. Never cached; idempotent on the run's id.
    with dsl.If(judged.outputs["Output"] == "promote", name="promoted"):
        pushed = steps.push(
            store=store,
            name=name,
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            candidate=trained.outputs["candidate"],
            heuristics=rules.outputs["models"],
            verdict=judged.outputs["verdict"],
        ).set_display_name("Push to the store")
        pushed.set_caching_options(False)
