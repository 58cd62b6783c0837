"""Small random tables with every kind of dirt, for comparisons of engines."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

END = pd.Timestamp("2026-05-01", tz="UTC")
WORDS = (
    *("a", "B", "b", "10", "9", "é", "e\u0301", "日本", "it's", 'say "x"', "back\\slash", "%_"),
    "🎵",
)
"""Parts of ids and values: other cases, digits, quotes, escapes and letters beyond ASCII."""


def write_random_tables(folder: Path, seed: int) -> dict:
    """Write events.jsonl in two parts, items.jsonl and users.csv; the settings of a run on them."""
    random = np.random.default_rng(seed)
    users = [f"{word}{number}" for number in range(4) for word in WORDS]
    items = [f"{word}-{number}" for number in range(3) for word in WORDS]
    (folder / "events").mkdir(parents=True)
    for part in range(2):
        rows = [_event(random, users, items) for _ in range(400)]
        rows += [rows[place] for place in random.integers(0, 400, 30)]
        lines = [json.dumps(row) for row in rows]
        (folder / "events" / f"{part}.jsonl").write_text("\n".join(lines), "utf-8")
    known = [
        {
            "item_id": item,
            "title": str(random.choice([*WORDS, ""])),
            "tags": [str(tag) for tag in random.choice(WORDS, random.integers(0, 3))],
            "released": str((END - pd.Timedelta(days=int(random.integers(-3, 90)))).date()),
        }
        for item in items
        if random.random() < 0.95
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, known)), "utf-8")
    table = pd.DataFrame(
        {
            "user_id": [user for user in users if random.random() < 0.9],
        }
    )
    table["country"] = random.choice([*WORDS, "", ""], len(table))
    table['odd `"name'] = random.choice(WORDS, len(table))
    table.to_csv(folder / "users.csv", index=False)
    return {
        "data": {
            "events": {"path": str(folder / "events")},
            "items": {"path": str(folder / "items.jsonl")},
            "users": {"path": str(folder / "users.csv")},
        },
        "as_of": "2026-05-01",
        "window": {"train_days": 40, "test_days": 10},
        "inputs": ["country"],
        "curation": {
            "max_events_per_day": 4,
            "min_item_events": int(random.integers(1, 5)),
            "min_user_events": int(random.integers(1, 4)),
        },
    }


def _event(random: np.random.Generator, users: list[str], items: list[str]) -> dict:
    # Few instants, so that plays share one.
    minutes = int(random.integers(-2_000, 50 * 24 * 60 // 7)) * 7
    event: dict[str, object] = {
        "user_id": str(random.choice(users)),
        "item_id": str(random.choice(items)),
        "timestamp": (END - pd.Timedelta(minutes=minutes)).isoformat(),
        "weight": float(random.choice([1, 1, 0.1, 2.5])),
    }
    if random.random() < 0.15:
        name, value = [
            ("user_id", None),
            ("user_id", "  "),
            ("item_id", ""),
            ("item_id", "unknown"),
            ("timestamp", "never"),
            ("timestamp", None),
            ("timestamp", "1969-01-01"),
            ("weight", -1),
            ("weight", "heavy"),
            ("weight", None),
        ][random.integers(0, 10)]
        event[name] = value
    return event
