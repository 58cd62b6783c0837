"""Model folders for tests in which nobody asks the model."""

from collections.abc import Mapping
from pathlib import Path

from setlist.models.contract import ModelInfo, write_info


def unasked(folder: Path, name: str, training_window: Mapping[str, str]) -> Path:
    """A folder that is a model to everything that does not ask it."""
    (folder / "saved_model").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_text(f"the graph of {name}")
    info = ModelInfo(
        name=name,
        kind="test",
        catalogue_size=1,
        history_length=1,
        training_window=dict(training_window),
        code_version="0",
    )
    write_info(folder, info, ["song"])
    return folder
