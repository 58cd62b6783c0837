"""Tables of any size: Zipf items, lognormal listeners, partitioned files, and dirt of every kind.

The rows depend on the seed and on the number of events, and on nothing else.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

START = 1_768_608_000  # 2026-01-17, in Unix seconds
DAYS = 104
CUTOFF, END = "2026-04-17", "2026-05-01"
FILE_ROWS = 1_000_000
COUNTRIES = ("SE", "NG", "BR", "JP", "DE", "")


def write_tables(folder: Path, events: int, seed: int = 1, dirt: float = 0.02) -> None:
    """Write events/, items/ and users/ with Parquet files.

    Args:
        folder: to write to.
        events: number of rows.
        seed: of the random numbers.
        dirt: share of the rows that some rule rejects.
    """
    listeners, items = max(events // 40, 20), max(events // 200, 50)
    random = np.random.default_rng(seed)
    activity = random.lognormal(0, 1.2, listeners).cumsum()
    popularity = (1 / np.arange(1, items + 1) ** 0.9).cumsum()
    order = random.permutation(items)
    for name in ("events", "items", "users"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for place, first in enumerate(range(0, events, FILE_ROWS)):
        size = min(FILE_ROWS, events - first)
        table = _events(
            np.random.default_rng([seed, place]), size, activity, popularity, order, dirt
        )
        pyarrow.parquet.write_table(table, folder / "events" / f"part-{place:04}.parquet")
    released = START + random.integers(-400, DAYS, items) * 86_400
    tags = random.integers(0, 40, (items, 2))
    pyarrow.parquet.write_table(
        pa.table(
            {
                "item_id": _ids("p", np.arange(items)),
                "title": _ids("Title ", np.arange(items)),
                "tags": pa.array([[f"tag {a}", f"tag {b}"] for a, b in tags.tolist()]),
                "released": pa.array(released * 1_000_000, pa.timestamp("us", "UTC")),
            }
        ),
        folder / "items" / "part-0000.parquet",
    )
    country = random.choice(len(COUNTRIES), listeners)
    pyarrow.parquet.write_table(
        pa.table(
            {
                "user_id": _ids("u", np.arange(listeners)),
                "country": pa.array(np.array(COUNTRIES, object)[country]),
                "age_band": pa.array(random.integers(1, 7, listeners)),
            }
        ),
        folder / "users" / "part-0000.parquet",
    )


def _events(
    random: np.random.Generator,
    size: int,
    activity: np.ndarray,
    popularity: np.ndarray,
    order: np.ndarray,
    dirt: float,
) -> pa.Table:
    user = np.searchsorted(activity, random.random(size) * activity[-1])
    item = order[np.searchsorted(popularity, random.random(size) * popularity[-1])]
    micros = (START + random.random(size) * DAYS * 86_400).astype(np.int64) * 1_000_000
    weight = random.choice([1.0, 1.0, 0.5, 2.0], size)
    kind = random.random(size) / max(dirt, 1e-12)
    # Each fault takes a sixth of the dirty rows.
    fault = np.where(kind < 1, (kind * 6).astype(int), -1)
    twins = np.flatnonzero(fault == 0)
    twins = twins[twins > 0]
    user[twins], item[twins], micros[twins] = user[twins - 1], item[twins - 1], micros[twins - 1]
    item[fault == 1] += 10 * len(order)  # unknown
    micros[fault == 2] = 0  # 1970
    weight[fault == 3] = -1
    micros[fault == 4] += 200 * 86_400 * 1_000_000  # after the window
    users = _ids("u", user)
    users = pa.array(users, mask=fault == 5) if (fault == 5).any() else users
    return pa.table(
        {
            "user_id": users,
            "item_id": _ids("p", item),
            "timestamp": pa.array(micros, pa.timestamp("us", "UTC")),
            "weight": weight,
        }
    )


def _ids(prefix: str, numbers: np.ndarray) -> np.ndarray:
    return np.char.add(prefix, numbers.astype(str)).astype(object)
