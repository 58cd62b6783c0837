"""Damage of all kinds to what is live: all of it is refused by name, and nothing served changes.

What is served is revision 1; HEAD has moved to revision 2, which a reader fetches as a follower
does. Each mutation is made, met and mended. One that leaves the bytes equal is none and is drawn
again; nor is a HEAD whose checksum was computed anew, which is what a promotion writes.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from setlist.errors import SetlistError
from setlist.store.manifest import Manifest
from setlist.store.model_store import ModelStore, open_store
from setlist.store.objects import Objects

FOLDER = "home/revisions/2/"
MANIFEST = f"{FOLDER}manifest.json"
HEAD = "home/HEAD"


class Damage(NamedTuple):
    """What was done.

    Attributes:
        kind: such as "flip a bit of a file".
        after: what the keys hold that are touched, None for nothing.
    """

    kind: str
    after: dict[str, bytes | None]


class Mutations(NamedTuple):
    """What came of it.

    Attributes:
        made: how many of each kind.
        refused: how many were refused by a sentence that names one of the keys touched.
        accepted: descriptions of those that were not.
        served: after how many the model served was, to the byte, what it had been.
    """

    made: Counter[str]
    refused: int
    accepted: list[str]
    served: int


def mutate(uri: str, scratch: Path, count: int, seed: int) -> Mutations:
    """Damage a store in so many ways, one after the other.

    Args:
        uri: of an empty store; STORAGE_EMULATOR_HOST names the emulator of a bucket.
        scratch: a folder.
        count: how many mutations.
        seed: of the draws.
    """
    store, chance = open_store(uri), random.Random(seed)
    files = _two_revisions(store, scratch, chance)
    serving = _Serving(store, scratch)
    whole = {key: _read(store.objects, key) for key in [HEAD, MANIFEST, *files]}
    made: Counter[str] = Counter()
    refused, accepted, served = 0, [], 0
    while made.total() < count:
        damage = _draw(chance, whole, files)
        if all(whole.get(key) == content for key, content in damage.after.items()):
            continue
        made[damage.kind] += 1
        with _damaged(store.objects, damage, whole):
            said = serving.swap()
        if said and any(key in said for key in damage.after):
            refused += 1
        else:
            accepted.append(f"{damage.kind} of {sorted(damage.after)}: {said or 'accepted'}")
        served += serving.unchanged()
    assert not serving.swap(), "mended, it is whole"
    return Mutations(made, refused, accepted, served)


class _Serving:
    """A model in use, and the attempts to follow HEAD."""

    def __init__(self, store: ModelStore, scratch: Path) -> None:
        self._store, self._scratch, self._count = store, scratch, 0
        self._folder = store.fetch("home", 1, scratch / "served")
        self._loaded = _tree(self._folder)

    def swap(self) -> str:
        """Try to take what is live in its place; the refusal, "" where it could be had."""
        self._count += 1
        try:
            head = self._store.head("home")
            assert head is not None
            self._store.fetch("home", head.live, self._scratch / f"next-{self._count}")
        except SetlistError as fault:
            return str(fault)
        return ""

    def unchanged(self) -> bool:
        """Whether what is served is what was loaded, and nothing half-made lies beside it."""
        beside = [path.name for path in self._scratch.iterdir() if path.name.startswith(".")]
        return _tree(self._folder) == self._loaded and not beside


def _two_revisions(store: ModelStore, scratch: Path, chance: random.Random) -> list[str]:
    """Revision 1 and 2 were promoted; the keys of the files of 2."""
    head = None
    for number in (1, 2):
        model = scratch / f"model-{number}"
        paths = ["model.json", "saved_model/saved_model.pb", "saved_model/variables/data", "empty"]
        for path in paths:
            (model / path).parent.mkdir(parents=True, exist_ok=True)
            (model / path).write_bytes(b"" if path == "empty" else chance.randbytes(200))
        revision = store.stage(
            "home",
            model,
            run_id=f"run-{number}",
            digest=f"digest {number}",
            training_window={"start": "2026-01-01", "end": f"2026-04-0{number}"},
            metadata={"label": "candidate", "score": 0.25, "more": {"nested": [1, 2, None]}},
        )
        head = store.promote("home", revision, expected=head)
    return [FOLDER + path for path in paths]


def _draw(chance: random.Random, whole: dict[str, bytes], files: list[str]) -> Damage:
    file = chance.choice(files)
    documents = [HEAD, MANIFEST]
    kinds: list[Callable[[], Damage]] = [
        lambda: Damage("a file is cut short", {file: _cut(chance, whole[file])}),
        lambda: Damage("a bit of a file is flipped", {file: _flip(chance, whole[file])}),
        lambda: Damage("a file is gone", {file: None}),
        lambda: Damage("a file too many", {f"{FOLDER}{chance.randbytes(4).hex()}": b"x"}),
        lambda: Damage(
            "a file has another name",
            {file: None, f"{file}.{chance.randbytes(2).hex()}": whole[file]},
        ),
        *(
            lambda key=key: Damage(f"{_last(key)} is cut short", {key: _cut(chance, whole[key])})
            for key in documents
        ),
        *(
            lambda key=key: Damage(
                f"a bit of {_last(key)} is flipped", {key: _flip(chance, whole[key])}
            )
            for key in documents
        ),
        *(
            lambda key=key: Damage(f"{_last(key)} is edited", {key: _edit(chance, whole[key])})
            for key in documents
        ),
        lambda: Damage("manifest.json is gone", {MANIFEST: None}),
        lambda: Damage("manifest.json is sealed anew", {MANIFEST: _seal(chance, whole[MANIFEST])}),
    ]
    return chance.choice(kinds)()


def _cut(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content))] if content else content


def _flip(chance: random.Random, content: bytes) -> bytes:
    if not content:
        return content
    place = chance.randrange(len(content))
    changed = bytes([content[place] ^ 1 << chance.randrange(8)])
    return content[:place] + changed + content[place + 1 :]


def _edit(chance: random.Random, content: bytes) -> bytes:
    """Another value somewhere in a JSON document, or a key less, well-formed and laid out alike."""
    document = json.loads(content)
    holder, key = chance.choice(list(_places(document)))
    if isinstance(holder, dict) and chance.random() < 0.2:
        del holder[key]
    else:
        value = holder[key]
        others = [None, 1, 2, 3, "x", f"../{value}", [], {}, [1], f"{value}0"]
        holder[key] = chance.choice([one for one in others if one != value])
    return json.dumps(document, indent=2, sort_keys=True).encode()


def _seal(chance: random.Random, content: bytes) -> bytes:
    """A manifest that is right in itself, but not the one that went live."""
    manifest = Manifest.parse(content, MANIFEST)
    changes: list[dict[str, Any]] = [
        {"digest": chance.randbytes(8).hex()},
        {"run_id": chance.randbytes(8).hex()},
        {"files": dict(list(manifest.files.items())[1:])},
        {"metadata": {}},
    ]
    return manifest.model_copy(update=chance.choice(changes)).to_bytes()


def _places(value: object) -> Iterator[tuple[Any, Any]]:
    """All values in a JSON document, as their holder and their key."""
    keys = list(value) if isinstance(value, dict) else range(len(value))  # type: ignore[arg-type]
    for key in keys:
        inner = value[key]  # type: ignore[index]
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


@contextmanager
def _damaged(objects: Objects, damage: Damage, whole: dict[str, bytes]) -> Iterator[None]:
    for key, content in damage.after.items():
        _put(objects, key, content)
    try:
        yield
    finally:
        for key in damage.after:
            _put(objects, key, whole.get(key))


def _put(objects: Objects, key: str, content: bytes | None) -> None:
    if content is None:
        objects.remove(key)
        return
    found = objects.read(key)
    assert objects.write(key, content, expected=found[1] if found else None) is not None


def _read(objects: Objects, key: str) -> bytes:
    found = objects.read(key)
    assert found is not None
    return found[0]


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
