"""Named arrays and a JSON document in one file that is read without pickle."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from setlist.errors import SetlistError

DOCUMENT = "document"


def pack(arrays: Mapping[str, npt.NDArray[Any]], document: Mapping[str, Any]) -> bytes:
    """An .npz of the arrays (numbers and booleans only) and the document, the same for the same."""
    text = json.dumps(document, allow_nan=False).encode()
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays, **{DOCUMENT: np.frombuffer(text, np.uint8)})
    return file.getvalue()


def unpack(content: bytes, name: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The arrays and the document that `pack` put together.

    Raises:
        SetlistError: when it is something else; the sentence says `name`.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return arrays, json.loads(arrays.pop(DOCUMENT).tobytes())
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as fault:
        raise SetlistError(f"{name} is damaged ({fault}); remove it and train again.") from fault
