"""A revision that is served: what it is, and the workers that answer for it."""

from dataclasses import dataclass
from pathlib import Path

from setlist.models.contract import ModelInfo
from setlist.models.worker.query import Query
from setlist.serving.model_pool import ModelPool


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A revision, loaded and warm; a request that holds it can finish on it after a swap.

    Attributes:
        revision: its number in the store.
        folder: of its files.
        info: of the model.
        known_inputs: the named inputs that a request may send; None: any.
        pool: its workers.
    """

    revision: int
    folder: Path
    info: ModelInfo
    known_inputs: frozenset[str] | None
    pool: ModelPool

    @property
    def identity(self) -> str:
        """Equal for equal manifests, whatever their numbers: a follower names its folders so."""
        return self.folder.name

    def unknown_input(self, query: Query) -> str | None:
        """An input of the query that the model was never told of, such as one that is misspelt."""
        if self.known_inputs is None:
            return None
        return next((name for name in query.inputs if name not in self.known_inputs), None)

    def inputs_read(self, query: Query) -> tuple[list[str], list[float], dict[str, str]]:
        """The part of a query that the model reads: history, ages (or []), named inputs."""
        length = self.info.history_length
        inputs = {name: query.inputs.get(name, "") for name in self.info.categorical_inputs}
        ages = list(query.ages[-length:]) if self.info.reads_ages else []
        return list(query.history[-length:]), ages, inputs
