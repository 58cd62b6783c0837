"""What can be asked of a model of the contract, whether it is loaded here or in a worker.

Evaluation, server and explorer see models through this class only, so that a heuristic, the new
model, the live model and a stranger's stand on the same footing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import pandas as pd

from setlist.arrays import Float32s, Int32s, Ragged, Strings
from setlist.models.contract import ModelInfo


class AskedModel(ABC):
    """A model, ready to recommend.

    One in a worker also raises `ModelUnansweredError` where the worker is lost.
    """

    info: ModelInfo

    def recommend(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]] | None = None,
        history_age_days: Sequence[Sequence[float]] | None = None,
    ) -> tuple[Strings, Float32s]:
        """The best k items for each listener of a batch.

        Args:
            history: the plays of each listener, oldest first, any length; only the suffix that the
                model reads is sent.
            exclude: the ids that must not be listed for each listener.
            k: the length of the lists.
            inputs: categorical inputs, one string a listener; the ones that the model requires are
                taken from it, "" where there is none.
            history_age_days: the age of each play, of the same shape as `history`; needed by the
                models that name it as an input.

        Returns:
            item_ids: object[batch, min(k, catalogue)], "" where a position could not be filled.
            scores: float32 of the same shape, -inf there.

        Raises:
            ModelError: when the model answers with NaN or with a wrong shape.
        """
        keep = self.info.history_length
        ages = history_age_days and [age[-keep:] for age in history_age_days]
        return self.signature([plays[-keep:] for plays in history], exclude, k, inputs or {}, ages)

    @abstractmethod
    def signature(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]],
        history_age_days: Sequence[Sequence[float]] | None = None,
    ) -> tuple[Strings, Float32s]:
        """`recommend` with the whole history sent, as a caller does who did not cut it."""

    @abstractmethod
    def lists(
        self,
        item_ids: pd.Index,
        plays: Ragged,
        exclude: Ragged,
        k: int,
        inputs: Mapping[str, Sequence[str]] | None = None,
        ages: Float32s | None = None,
    ) -> tuple[Int32s, Float32s]:
        """`recommend` for a whole audience, in the codes of the caller's catalogue.

        Args:
            item_ids: of the caller's catalogue, each once, in the order of its codes.
            plays: of each listener, oldest first.
            exclude: the items that must not be listed for each listener.
            k: the length of the lists, at least 0.
            inputs: as in `recommend`, one string a listener.
            ages: float32[plays], of each code of `plays`, in days; needed as in `recommend`.

        Returns:
            codes: int32[listeners, k], best first; EMPTY where nothing is listed, FOREIGN for an
            id that is not in `item_ids`.
            scores: float32 of the same shape, -inf where nothing is listed.

        Raises:
            ModelError: when the model answers with NaN, with a wrong shape or more than k.
        """
