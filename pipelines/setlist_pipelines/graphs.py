"""The graph of each pipeline, by its name and the settings that shape it."""

from kfp.dsl.graph_component import GraphComponent

from setlist_pipelines.monitoring import monitoring
from setlist_pipelines.placement import Placement
from setlist_pipelines.retraining import retraining
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings
from setlist_pipelines.settings.platform import Platform


def graph(
    pipeline: PipelineName, settings: Settings, platform: Platform | None = None
) -> GraphComponent:
    """The graph of a pipeline.

    Args:
        pipeline: its name.
        settings: of the runs.
        platform: what each step gets on a cluster; None for a laptop.
    """
    placement = Placement(platform, settings.store, settings.name) if platform else None
    if pipeline == "monitoring":
        return monitoring(placement)
    return retraining(settings.labels, settings.refit, settings.warm_start, placement)
