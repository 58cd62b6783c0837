"""Names, revisions and HEAD, for those who only read."""

import hashlib
import re
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setlist.errors import SetlistError
from setlist.store.manifest import MANIFEST, Manifest, Pointer, Promotion
from setlist.store.objects import Objects
from setlist.store.transfer import THREADS, faults, receive, strays

NAME = r"[a-z0-9-]+(/[a-z0-9-]+)*"
RESERVED = ("revisions", "runs", "checkpoints", "head")
"""No part of a name: "home/revisions" would lie among the revisions of "home"."""
CARD = "card_sha256"
"""In the metadata of a revision: the SHA-256 of its model card."""


@dataclass(frozen=True)
class Head:
    """What was live when HEAD was read.

    `version` is a token of the promotion itself: `ModelStore.promote` succeeds only while it holds.
    """

    live: int
    previous: int | None
    version: str


class StoreReader:
    """Named models, each with its revisions and its HEAD. Every fault is a SetlistError."""

    def __init__(self, objects: Objects) -> None:
        self.uri = objects.uri
        self.objects = objects

    def head(self, name: str) -> Head | None:
        """What is live under a name, or None where nothing was promoted yet."""
        pointer, _ = self.look(name)
        return head_of(pointer) if pointer else None

    def history(self, name: str) -> list[Promotion]:
        """The last promotions of a name (at most 50), oldest first."""
        pointer, _ = self.look(name)
        return pointer.promotions if pointer else []

    def promoted(self, name: str) -> list[int]:
        """The revisions that were live, each once, the one promoted last first."""
        return list(dict.fromkeys(entry.revision for entry in reversed(self.history(name))))

    def revisions(self, name: str) -> list[int]:
        """The complete revisions of a name that were not pruned, ascending."""
        return self._complete(name, self.look(name)[0])

    def manifest(self, name: str, revision: int) -> Manifest:
        """The manifest of a complete revision.

        Raises:
            SetlistError: there is no such revision, its manifest is damaged or of another one, or
                HEAD, which vouches for the live one, is damaged.
        """
        return self.read_manifest(name, revision, self.look(name)[0])[0]

    def manifests(self, name: str) -> dict[int, Manifest | SetlistError]:
        """The manifests of all revisions, ascending, or what is wrong with them."""
        pointer, _ = self.look(name)

        def one(revision: int) -> Manifest | SetlistError:
            try:
                return self.read_manifest(name, revision, pointer)[0]
            except SetlistError as fault:
                return fault

        revisions = self._complete(name, pointer)
        with ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(revisions, pool.map(one, revisions), strict=True))

    def fetch(self, name: str, revision: int, to: Path) -> Path:
        """Copy a revision into the folder `to` (new or empty), every file verified.

        Returns:
            `to`, which appears with all files at once or not at all.

        Raises:
            SetlistError: a file is missing, unlisted or damaged (it is named), or `to` is taken.
        """
        manifest = self.manifest(name, revision)
        folder = f"{name}/revisions/{revision}/"
        self.compare(manifest, folder)
        beside = to.absolute().parent / f".{to.name}.{uuid.uuid4().hex}"
        try:
            beside.mkdir(parents=True)
            receive(self.objects, folder, manifest.files, beside)
            beside.replace(to)
        except OSError as fault:
            raise SetlistError(
                f"{to}: cannot hold {name} revision {revision} ({fault.strerror or fault}); "
                "name a new or empty folder that can be written."
            ) from fault
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return to

    def verify(self, name: str, revision: int) -> list[str]:
        """Read all of a revision; one sentence for each fault, none where it is whole."""
        try:
            manifest = self.manifest(name, revision)
        except SetlistError as fault:
            return [str(fault)]
        found = faults(self.objects, f"{name}/revisions/{revision}/", manifest.files)
        try:
            self.card(name, revision)
        except SetlistError as fault:
            found.append(str(fault))
        return found

    def file(self, name: str, revision: int, path: str) -> bytes | None:
        """A small file of a revision, verified; None where it has no such file."""
        said = self.manifest(name, revision).files.get(path)
        if said is None:
            return None
        key = f"{name}/revisions/{revision}/{path}"
        found = self.objects.read(key)
        if found is None or hashlib.sha256(found[0]).hexdigest() != said.sha256:
            raise SetlistError(
                f"store {self.uri}: {key} is {'damaged' if found else 'missing'}; stage the model "
                "again."
            )
        return found[0]

    def card(self, name: str, revision: int) -> str | None:
        """The model card of a revision, in Markdown; None where it was staged without one."""
        said = self.manifest(name, revision).metadata.get(CARD)
        if said is None:
            return None
        key = f"{name}/revisions/{revision}.card.md"
        found = self.objects.read(key)
        if found is None or hashlib.sha256(found[0]).hexdigest() != said:
            raise SetlistError(
                f"store {self.uri}: {key} is {'damaged' if found else 'missing'} (its manifest has "
                "another SHA-256); restore it."
            )
        return found[0].decode()

    def look(self, name: str) -> tuple[Pointer | None, str | None]:
        """What HEAD holds, and the version of the object that holds it.

        Raises:
            SetlistError: HEAD is damaged, or another model's.
        """
        key = f"{checked(name)}/HEAD"
        if (found := self.objects.read(key)) is None:
            return None, None
        pointer = Pointer.parse(found[0], f"store {self.uri}: {key}")
        if pointer.name != name:
            raise SetlistError(
                f"store {self.uri}: {key} is that of {pointer.name}; {Pointer.remedy}."
            )
        return pointer, found[1]

    def numbers(self, name: str, pattern: str) -> list[int]:
        """The numbers in the keys that match a pattern, ascending."""
        folder = f"{checked(name)}/revisions/"
        keys = (key.removeprefix(folder) for key in self.objects.keys(folder))
        return sorted({int(match[1]) for key in keys if (match := re.fullmatch(pattern, key))})

    def read_manifest(
        self, name: str, revision: int, pointer: Pointer | None
    ) -> tuple[Manifest, str]:
        """A manifest and the SHA-256 of its bytes, held against what HEAD says of it."""
        self.not_gone(name, revision, pointer)
        key = f"{checked(name)}/revisions/{revision}/{MANIFEST}"
        found = self.objects.read(key)
        if found is None and pointer and revision in (pointer.live, pointer.previous):
            raise SetlistError(
                f"store {self.uri}: {key} is missing, though HEAD names it; {Manifest.remedy}."
            )
        if found is None:
            have = ", ".join(map(str, self._complete(name, pointer))) or "none"
            raise SetlistError(
                f"store {self.uri}: {name} has no revision {revision}; its revisions are: {have}."
            )
        manifest = Manifest.parse(found[0], f"store {self.uri}: {key}")
        if (manifest.name, manifest.revision) != (name, revision):
            raise SetlistError(
                f"store {self.uri}: {key} is the manifest of {manifest.name} revision "
                f"{manifest.revision}; stage the model again instead of copying it."
            )
        sha256 = hashlib.sha256(found[0]).hexdigest()
        known = {}
        if pointer:
            known = {
                pointer.previous: pointer.previous_manifest,
                pointer.live: pointer.live_manifest,
            }
        if known.get(revision, sha256) != sha256:
            raise SetlistError(
                f"store {self.uri}: {key} is damaged (it is not the one that went live: HEAD has "
                f"another SHA-256); {Manifest.remedy}."
            )
        return manifest, sha256

    def _complete(self, name: str, pointer: Pointer | None) -> list[int]:
        gone = set(pointer.retired) if pointer else set()
        complete = self.numbers(name, rf"(\d+)/{re.escape(MANIFEST)}")
        return [revision for revision in complete if revision not in gone]

    def not_gone(self, name: str, revision: int, pointer: Pointer | None) -> None:
        """Refuse a revision that HEAD calls gone."""
        if pointer and revision in pointer.retired:
            raise SetlistError(
                f"store {self.uri}: revision {revision} of {name} was pruned; choose another, or "
                "start a new run."
            )

    def compare(self, manifest: Manifest, folder: str) -> None:
        """Refuse a revision folder whose files are not exactly those that the manifest lists."""
        for sentence in strays(self.objects, folder, manifest.files):
            raise SetlistError(sentence)


def head_of(pointer: Pointer) -> Head:
    """What a caller sees of HEAD."""
    return Head(pointer.live, pointer.previous, pointer.move)


def checked(name: str) -> str:
    """The name, if it is one.

    Raises:
        SetlistError: it is none.
    """
    if not re.fullmatch(NAME, name) or set(RESERVED) & set(name.split("/")):
        raise SetlistError(
            f"name: {name!r} is no model name; write lower-case letters, digits and hyphens, "
            f"parts separated by /, none of them {', '.join(RESERVED)}."
        )
    return name
