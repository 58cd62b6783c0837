"""Every component of the pipeline, a few lines each: together they are its typed interface.

A wrapper unwraps paths, calls one function and logs metrics; it does not think. All steps run in
one image, named by the environment when the pipeline is compiled. Imports stand inside the
functions because Kubeflow ships a function's source and nothing around it.
"""

import os
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, Output

IMAGE = os.environ.get("SETLIST_IMAGE", "setlist:latest")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def plan(
    name: str,
    store: str,
    as_of: str,
    data: dict[str, Any],
    window: dict[str, Any],
    policy: dict[str, Any],
    candidates: dict[str, Any],
    compiled: list[Any],
) -> NamedTuple(
    "Plan",
    [
        ("window", dict),
        ("data_fingerprint", str),
        ("head", dict),
        ("rivals", list),
        ("operations", list),
    ],
):
    """Settle the window, the input's fingerprint and the live revision. Never cached."""
    from setlist.step_process import begin_step

    begin_step("plan")

    from setlist.data.curation import DataSettings, WindowSettings
    from setlist.evaluation.policy import Policy
    from setlist.models.selection import check_compiled
    from setlist.runs.plan import plan

    check_compiled(candidates, compiled)
    return plan(
        name,
        store,
        as_of,
        DataSettings.model_validate(data),
        WindowSettings.model_validate(window),
        Policy.model_validate(policy),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def news(store: str, name: str, data_fingerprint: str, only_new_data: bool) -> str:
    """Say "new", or "nothing new" where that matters. Never cached.

    One unnamed output, because kfp.local resolves no other in a `dsl.If`.
    """
    from setlist.step_process import begin_step

    begin_step("news")

    from setlist.runs.plan import news

    return "new" if news(store, name, data_fingerprint, only_new_data) else "nothing new"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def curate(
    data: dict[str, Any],
    data_fingerprint: str,
    window: dict[str, Any],
    curation: dict[str, Any],
    engine: dict[str, Any],
    dataset: Output[Dataset],
    report: Output[Markdown],
) -> None:
    """Read, check, clean and split the tables. The fingerprint is part of the cache key."""
    from setlist.step_process import begin_step

    begin_step("curate")

    from pathlib import Path

    from setlist.data.curation import CurationSettings, DataSettings, curate
    from setlist.data.engine import EngineSettings
    from setlist.data.schema import Window

    counts = curate(
        DataSettings.model_validate(data),
        Window.from_json(window),
        CurationSettings.model_validate(curation),
        Path(dataset.path),
        EngineSettings.model_validate(engine),
    )
    Path(report.path).write_text(counts.markdown(), "utf-8")
    # For the report of the run; without the days, since a backend bounds the size of metadata.
    report.metadata["counts"] = counts.model_dump_json(exclude={"days"})
    dataset.metadata["fingerprint"] = data_fingerprint


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def check_data(
    dataset: Input[Dataset],
    window: dict[str, Any],
    live: Input[Model],
    inputs: list[Any],
    policy: dict[str, Any],
    engine: dict[str, Any],
    verdict: Output[Artifact],
) -> None:
    """Judge the data; stop the run where no model may be trained on them. Never cached."""
    from setlist.step_process import begin_step

    begin_step("check-data")

    from pathlib import Path

    from setlist.data.engine import EngineSettings
    from setlist.data.schema import Window
    from setlist.evaluation.policy import Policy
    from setlist.runs.data_check import check_data

    check_data(
        Path(dataset.path),
        Window.from_json(window),
        Path(live.path),
        tuple(inputs),
        Policy.model_validate(policy).data,
        Path(verdict.path),
        EngineSettings.model_validate(engine),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def transform(
    dataset: Input[Dataset],
    window: dict[str, Any],
    inputs: list[Any],
    engine: dict[str, Any],
    features: Output[Dataset],
) -> None:
    """Fit catalogue, vocabularies and histories on the training period."""
    from setlist.step_process import begin_step

    begin_step("transform")

    from pathlib import Path

    from setlist.data.engine import EngineSettings
    from setlist.data.schema import Window
    from setlist.data.transformation import transform

    transform(
        Path(dataset.path),
        Window.from_json(window),
        tuple(inputs),
        Path(features.path),
        EngineSettings.model_validate(engine),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def transform_whole(
    dataset: Input[Dataset],
    window: dict[str, Any],
    inputs: list[Any],
    engine: dict[str, Any],
    features: Output[Dataset],
) -> None:
    """Fit the same on all days, for a winner that is trained again."""
    from setlist.step_process import begin_step

    begin_step("transform-whole")

    from pathlib import Path

    from setlist.data.engine import EngineSettings
    from setlist.data.schema import Window
    from setlist.data.transformation import transform_whole

    transform_whole(
        Path(dataset.path),
        Window.from_json(window),
        tuple(inputs),
        Path(features.path),
        EngineSettings.model_validate(engine),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fit_heuristics(
    features: Input[Dataset],
    heuristics: dict[str, Any],
    engine: dict[str, Any],
    models: Output[Model],
) -> None:
    """Fit simple rules and simple learners, each as a model of the contract."""
    from setlist.step_process import begin_step

    begin_step("fit-heuristics")

    from pathlib import Path

    from setlist.data.engine import EngineSettings
    from setlist.models.heuristics import fit_heuristics
    from setlist.models.settings import HeuristicSettings

    fit_heuristics(
        Path(features.path),
        HeuristicSettings.model_validate(heuristics),
        Path(models.path),
        EngineSettings.model_validate(engine),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    features: Input[Dataset],
    model: dict[str, Any],
    candidates: dict[str, Any],
    label: str,
    store: str,
    candidate: Output[Model],
    training: Output[Artifact],
    metrics: Output[Metrics],
    live: Input[Model] = None,
) -> None:
    """Train one candidate, saved under the same contract; from the live model where it is given."""
    from setlist.step_process import begin_step

    begin_step("train")
    import os
    from pathlib import Path

    from setlist.data.features import Features
    from setlist.models.selection import candidate_settings
    from setlist.models.tf import check_accelerator
    from setlist.models.trainers import train_candidate
    from setlist.runs.checkpoints import StoredCheckpoint
    from setlist.runs.promotion import live_folder

    check_accelerator(os.environ.get("SETLIST_ACCELERATOR", ""))
    settings = candidate_settings(model, candidates, label)
    start = live_folder(Path(live.path)) if live else None
    trained = train_candidate(
        Features.sample(Path(features.path), settings.most_plays),
        settings,
        Path(candidate.path),
        Path(training.path),
        label,
        live=start,
        checkpoint=StoredCheckpoint.of(store, Path(features.path), settings, label, start),
    )
    metrics.log_metric("epochs", len(trained.epochs))
    metrics.log_metric("seconds", trained.seconds)
    if trained.ndcg is not None:
        metrics.log_metric("ndcg", trained.ndcg)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def choose(
    first: Input[Model],
    first_training: Input[Artifact],
    second: Input[Model],
    second_training: Input[Artifact],
    better: Output[Model],
    training: Output[Artifact],
) -> None:
    """Keep the candidate whose held-out plays are ranked better, of equals the first."""
    from setlist.step_process import begin_step

    begin_step("choose")

    from pathlib import Path

    from setlist.models.selection import choose

    best = choose(
        Path(first.path),
        Path(first_training.path),
        Path(second.path),
        Path(second_training.path),
        Path(better.path),
        Path(training.path),
    )
    better.metadata["candidate"] = best.label


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def resolve_live(
    store: str, name: str, rivals: list[Any], verify: list[Any], live: Output[Model]
) -> None:
    """Fetch the live model and the anchor, or say that there is none."""
    from setlist.step_process import begin_step

    begin_step("resolve-live")

    from pathlib import Path

    from setlist.runs.promotion import resolve_live

    folders = resolve_live(
        store, name, [int(revision) for revision in rivals], Path(live.path), verify
    )
    live.metadata["live"] = folders[0] if folders else "none"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    dataset: Input[Dataset],
    features: Input[Dataset],
    heuristics: Input[Model],
    candidate: Input[Model],
    live: Input[Model],
    evaluation: dict[str, Any],
    operations: list[Any],
    evaluations: Output[Artifact],
    metrics: Output[Metrics],
) -> None:
    """Ask every model of the run the same questions."""
    from setlist.step_process import begin_step

    begin_step("evaluate")

    from pathlib import Path

    from setlist.data.features import Features
    from setlist.evaluation.contenders import list_contenders
    from setlist.evaluation.evaluator import evaluate
    from setlist.evaluation.results import EvaluationSettings, read_values

    result = evaluate(
        list_contenders(Path(heuristics.path), Path(candidate.path), Path(live.path)),
        Features.read(Path(features.path)),
        Path(dataset.path),
        EvaluationSettings.model_validate(evaluation),
        Path(evaluations.path),
        operations,
    )
    for name, value in read_values(Path(evaluations.path), result.model("candidate")).items():
        metrics.log_metric(name, value)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(
    evaluations: Input[Artifact],
    policy: dict[str, Any],
    head: dict[str, Any],
    verdict: Output[Artifact],
) -> str:
    """Judge the candidate, and say what goes live: candidate, heuristic, staged or unchanged.

    One unnamed output, because kfp.local resolves no other in a `dsl.If`.
    """
    from setlist.step_process import begin_step

    begin_step("gate")

    from pathlib import Path

    from setlist.evaluation.gate import gate
    from setlist.evaluation.policy import Policy
    from setlist.evaluation.verdict import SeenHead

    judged = gate(
        Path(evaluations.path),
        Policy.model_validate(policy),
        SeenHead.model_validate(head) if head else None,
    )
    judged.write(Path(verdict.path))
    return judged.live


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def report(
    evaluations: Input[Artifact],
    verdict: Input[Artifact],
    training: Input[Artifact],
    curation: Input[Markdown],
    data_verdict: Input[Artifact],
    live: Input[Model],
    store: str,
    name: str,
    run_id: str,
    page: Output[HTML],
) -> None:
    """Write the page that shows the models side by side, and names its run. Never cached."""
    from setlist.step_process import begin_step

    begin_step("report")

    from datetime import UTC, datetime
    from pathlib import Path

    from setlist.evaluation.verdict import Verdict
    from setlist.report.identity import Identity
    from setlist.report.page import write_report
    from setlist.runs.neighbours import read_neighbours

    judged = Verdict.read(Path(verdict.path))
    write_report(
        Path(evaluations.path),
        Path(verdict.path),
        Path(page.path),
        Path(training.path),
        curation=curation.metadata.get("counts", ""),
        data_verdict=Path(data_verdict.path),
        live_models=Path(live.path),
        identity=Identity(
            name,
            run_id,
            store,
            datetime.now(UTC),
            read_neighbours(store, name, run_id, judged),
        ),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def refit(
    whole: Input[Dataset],
    features: Input[Dataset],
    dataset: Input[Dataset],
    evaluations: Input[Artifact],
    training: Input[Artifact],
    verdict: Input[Artifact],
    evaluation: dict[str, Any],
    policy: dict[str, Any],
    overlap: float,
    store: str,
    refitted: Output[Model],
    live: Input[Model] = None,
) -> None:
    """Train the winner again on all days, and refuse it where it has become another model."""
    from setlist.step_process import begin_step

    begin_step("refit")
    import os
    from pathlib import Path

    from setlist.evaluation.policy import Policy
    from setlist.evaluation.results import EvaluationSettings
    from setlist.evaluation.verdict import Verdict
    from setlist.models.tf import check_accelerator
    from setlist.runs.promotion import live_folder
    from setlist.runs.refit import refit

    check_accelerator(os.environ.get("SETLIST_ACCELERATOR", ""))
    done = refit(
        Path(whole.path),
        Path(features.path),
        Path(dataset.path),
        Path(evaluations.path),
        Path(training.path),
        Verdict.read(Path(verdict.path)),
        EvaluationSettings.model_validate(evaluation),
        Policy.model_validate(policy),
        overlap,
        store,
        live_folder(Path(live.path)) if live else None,
        Path(refitted.path),
    )
    refitted.metadata["refit_of"] = done.refit_of


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def push(
    store: str,
    name: str,
    run_id: str,
    candidate: Input[Model],
    heuristics: Input[Model],
    evaluations: Input[Artifact],
    training: Input[Artifact],
    verdict: Input[Artifact],
    report: Input[HTML],
    data_fingerprint: str,
    verify: list[Any],
    pushed: Output[Artifact],
    card: Output[Markdown],
    page: Output[HTML],
    refitted: Input[Model] = None,
) -> None:
    """Put the winner into the store with its card and its report; make it live. Never cached."""
    from setlist.step_process import begin_step

    begin_step("push")
    import json
    from pathlib import Path

    from setlist.evaluation.verdict import Verdict
    from setlist.report.card import render_card
    from setlist.runs.cleaning import clean_with_key
    from setlist.runs.plan import DATA_FINGERPRINT
    from setlist.runs.promotion import describe_push, push

    judged = Verdict.read(Path(verdict.path))
    revision = push(
        store,
        name,
        run_id,
        Path(candidate.path),
        Path(heuristics.path),
        judged,
        Path(refitted.path) if refitted else None,
        {DATA_FINGERPRINT: data_fingerprint},
        Path(training.path),
        lambda number, model, metadata: render_card(
            name=name,
            revision=number,
            run_id=run_id,
            model=model,
            verdict=judged,
            evaluations=Path(evaluations.path),
            training=Path(training.path),
            metadata=metadata,
        ),
        Path(card.path),
        verify,
        Path(report.path),
        Path(page.path),
    )
    record = describe_push(store, name, revision)
    Path(pushed.path).write_text(json.dumps(record) + "\n", "utf-8")
    clean_with_key(store, name)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def announce(
    store: str,
    name: str,
    run_id: str,
    verdict: Input[Artifact] = None,
    data_verdict: Input[Artifact] = None,
    pushed: Input[Artifact] = None,
    report: Input[HTML] = None,
) -> None:
    """Record what came of the run and tell it to whoever listens. Never cached."""
    from setlist.step_process import begin_step

    begin_step("announce")

    from pathlib import Path

    from setlist.runs.announcement import announce

    verdict_path, data_path, pushed_path, report_path = (
        Path(artifact.path) if artifact else None
        for artifact in (verdict, data_verdict, pushed, report)
    )
    announce(store, name, run_id, verdict_path, pushed_path, data_path, report_path)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def announce_failure(
    status: dsl.PipelineTaskFinalStatus, store: str, name: str, run_id: str, monitoring: bool
) -> None:
    """Tell that the run failed, if it did. The exit handler."""
    from setlist.step_process import begin_step

    begin_step("announce-failure")

    from setlist.runs.announcement import announce_failure
    from setlist.runs.record import MonitoringRecord, RunRecord

    kind = MonitoringRecord if monitoring else RunRecord
    announce_failure(store, name, run_id, status.error_message or "", kind)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def plan_monitoring(
    name: str, store: str, as_of: str, data: dict[str, Any], window: dict[str, Any]
) -> NamedTuple("MonitoringPlan", [("window", dict), ("data_fingerprint", str), ("revision", int)]):
    """Settle the window, the input's fingerprint and the live revision. Never cached."""
    from setlist.step_process import begin_step

    begin_step("plan-monitoring")

    from setlist.data.curation import DataSettings, WindowSettings
    from setlist.runs.plan import plan_monitoring

    return plan_monitoring(
        name,
        store,
        as_of,
        DataSettings.model_validate(data),
        WindowSettings.model_validate(window),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def compare_requests(
    log: str,
    days: int,
    store: str,
    name: str,
    revision: int,
    features: Input[Dataset],
    policy: dict[str, Any],
    verdict: Output[Artifact],
    page: Output[Markdown],
) -> None:
    """Compare the requests to the live model with its training and the tables. Never cached."""
    from setlist.step_process import begin_step

    begin_step("compare-requests")

    from pathlib import Path

    from setlist.data.features import Features
    from setlist.evaluation.policy import Policy
    from setlist.report.skew import render_skew
    from setlist.serving.skew_check import compare_requests

    report, judged = compare_requests(
        log,
        store,
        name,
        revision,
        Policy.model_validate(policy).data.serving,
        days,
        Features.read(Path(features.path)),
    )
    judged.write(Path(verdict.path))
    Path(page.path).write_text(render_skew(name, revision, report.summary, judged), "utf-8")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def announce_skew(store: str, name: str, run_id: str, verdict: Input[Artifact]) -> None:
    """Record and tell what the comparison found; fail where a bound is exceeded. Never cached."""
    from setlist.step_process import begin_step

    begin_step("announce-skew")

    from pathlib import Path

    from setlist.runs.announcement import announce_skew

    announce_skew(store, name, run_id, Path(verdict.path))
