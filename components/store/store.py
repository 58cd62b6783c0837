"""A model store: immutable revisions of named models, and one pointer to the live one.

NAME/revisions/REVISION/...            the files of a model
NAME/revisions/REVISION/manifest.json  written after all of them: without it there is no revision
NAME/revisions/REVISION.claim          whose number it is: the first to write it owns the number
NAME/revisions/RUN.run                 which number a run has, so that a second attempt finds it
NAME/HEAD                              what is live; it moves by compare-and-swap

Nothing reads a model but through HEAD and the manifest, and every file is verified.
"""

import hashlib
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from components.errors import SetlistError
from components.store.manifest import MANIFEST, Claim, File, Manifest, Pointer, Promotion
from components.store.objects import Objects, open_objects

NAME = r"[a-z0-9-]+(/[a-z0-9-]+)*"
RESERVED = {"revisions", "head"}  # "home/revisions" would lie among the revisions of "home"
PROMOTIONS_KEPT = 50


@dataclass(frozen=True)
class Head:
    """What was live when HEAD was read.

    `version` is an opaque token of the pointer itself: `promote` succeeds only while it holds.
    """

    live: int
    previous: int | None
    version: str


def open_store(uri: str) -> "ModelStore":
    """The store at "gs://bucket/prefix" or in a local folder, which is created when missing.

    Raises:
        SetlistError: the scheme is unknown, the bucket is missing, or access is denied.
    """
    return ModelStore(open_objects(uri))


class ModelStore:
    """Named models, each with its revisions and its HEAD. Every fault is a SetlistError."""

    def __init__(self, objects: Objects) -> None:
        self.uri = objects.uri
        self._objects = objects

    def head(self, name: str) -> Head | None:
        """What is live under a name, or None where nothing was promoted yet."""
        return self._look(name)[0]

    def history(self, name: str) -> list[Promotion]:
        """The last promotions of a name (at most 50), oldest first."""
        return self._look(name)[1]

    def promoted(self, name: str) -> list[int]:
        """The revisions that were live, each once, the one promoted last first."""
        return list(dict.fromkeys(entry.revision for entry in reversed(self.history(name))))

    def revisions(self, name: str) -> list[int]:
        """The complete revisions of a name, ascending."""
        return self._numbers(name, rf"(\d+)/{re.escape(MANIFEST)}")

    def manifest(self, name: str, revision: int) -> Manifest:
        """The manifest of a complete revision.

        Raises:
            SetlistError: there is no such revision, or its manifest is damaged or of another one.
        """
        key = f"{_checked(name)}/revisions/{revision}/{MANIFEST}"
        found = self._objects.read(key)
        if found is None:
            have = ", ".join(map(str, self.revisions(name))) or "none"
            raise SetlistError(
                f"store {self.uri}: {name} has no revision {revision}; its revisions are: {have}."
            )
        manifest = Manifest.parse(found[0], f"store {self.uri}: {key}")
        if (manifest.name, manifest.revision) != (name, revision):
            raise SetlistError(
                f"store {self.uri}: {key} is the manifest of {manifest.name} revision "
                f"{manifest.revision}; stage the model again instead of copying it."
            )
        return manifest

    def stage(
        self,
        name: str,
        model: Path,
        *,
        run_id: str,
        digest: str,
        training_window: Mapping[str, str],
        metadata: Mapping[str, JsonValue],
    ) -> int:
        """Copy a model folder into the store as the run's revision of `name`; nothing goes live.

        A second call of the same run returns the same revision, and completes it where the first
        was cut off. Empty folders are not kept.

        Args:
            name: matches NAME; no part of it is "revisions" or "head"
            model: a folder of plain files, no links
            run_id: whose revision it is: a run has one revision a name
            digest: the digest of the model, the same at every attempt of the run
            training_window: the period that the model has seen, as ISO text
            metadata: any JSON values without NaN, such as the verdict

        Returns:
            The revision, a number greater than those of all earlier runs.

        Raises:
            SetlistError: the model cannot be stored, or the run has staged another one.
        """
        manifest = Manifest.checked(
            f"store {self.uri}: the manifest of {_checked(name)}",
            {
                "name": name,
                "revision": 1,  # until the claim says which
                "run_id": run_id,
                "created": _now(),
                "digest": digest,
                "files": {path: describe(model / path) for path in _paths(model)},
                "training_window": dict(training_window),
                "metadata": dict(metadata),
            },
        )
        revision = self._claim(name, run_id, digest).revision
        folder = f"{name}/revisions/{revision}/"
        if self._objects.read(folder + MANIFEST) is None:
            for path in manifest.files:
                self._objects.upload(model / path, folder + path)
            self._compare(manifest, folder)
            content = manifest.model_copy(update={"revision": revision}).to_bytes()
            # When it is there by now, another attempt of this run has finished the same revision.
            self._objects.write(folder + MANIFEST, content, expected=None)
        return revision

    def promote(self, name: str, revision: int, *, expected: Head | None) -> Head:
        """Make a revision live, if HEAD is still what the caller saw; no-op if it is live already.

        Raises:
            SetlistError: HEAD moved since, or there is no such revision; nothing was promoted.
        """
        run_id = self.manifest(name, revision).run_id
        head, promotions = self._look(name)
        seen = expected.version if expected else None
        if (head.version if head else None) == seen and (head is None or head.live != revision):
            entry = Promotion(revision=revision, when=_now(), run_id=run_id)
            pointer = Pointer(
                live=revision,
                previous=head.live if head else None,
                promotions=[*promotions, entry][-PROMOTIONS_KEPT:],
            )
            version = self._objects.write(f"{name}/HEAD", pointer.to_bytes(), expected=seen)
            if version is not None:
                return Head(pointer.live, pointer.previous, version)
            head, _ = self._look(name)
        if head is None or head.live != revision:
            raise SetlistError(
                f"store {self.uri}: HEAD of {name} moved from "
                f"{f'revision {expected.live}' if expected else 'no revision'} to "
                f"{head.live if head else 'no revision'} since this run was planned; nothing was "
                "promoted, run again."
            )
        return head

    def fetch(self, name: str, revision: int, to: Path) -> Path:
        """Copy a revision into the folder `to` (new or empty), every file verified.

        Returns:
            `to`, which appears with all files at once or not at all.

        Raises:
            SetlistError: a file is missing, unlisted or damaged (it is named), or `to` is taken.
        """
        manifest = self.manifest(name, revision)
        folder = f"{name}/revisions/{revision}/"
        self._compare(manifest, folder)
        beside = to.absolute().parent / f".{to.name}.{uuid.uuid4().hex}"
        try:
            beside.mkdir(parents=True)
            for path, said in manifest.files.items():
                target = beside / path
                target.parent.mkdir(parents=True, exist_ok=True)
                self._objects.download(folder + path, target)
                if (got := describe(target)) != said:
                    raise SetlistError(
                        f"store {self.uri}: {folder}{path} is damaged (it has {got.size} bytes "
                        f"with sha256 {got.sha256[:12]}..., its manifest says {said.size} with "
                        f"{said.sha256[:12]}...); stage the model again."
                    )
            beside.replace(to)
        except OSError as fault:
            raise SetlistError(
                f"{to}: cannot hold {name} revision {revision} ({fault.strerror or fault}); "
                "name a new or empty folder that can be written."
            ) from fault
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return to

    def _look(self, name: str) -> tuple[Head | None, list[Promotion]]:
        """HEAD and the promotions that it remembers, of one moment."""
        key = f"{_checked(name)}/HEAD"
        if (found := self._objects.read(key)) is None:
            return None, []
        pointer = Pointer.parse(found[0], f"store {self.uri}: {key}")
        return Head(pointer.live, pointer.previous, found[1]), pointer.promotions

    def _numbers(self, name: str, pattern: str) -> list[int]:
        folder = f"{_checked(name)}/revisions/"
        keys = (key.removeprefix(folder) for key in self._objects.keys(folder))
        return sorted({int(match[1]) for key in keys if (match := re.fullmatch(pattern, key))})

    def _claim(self, name: str, run_id: str, digest: str) -> Claim:
        """The number that belongs to a run, claimed now unless an earlier attempt did."""
        folder = f"{name}/revisions/"
        binding = f"{folder}{quote(run_id, safe='')}.run"
        found = self._objects.read(binding)
        if found is None:
            revision = max(self._numbers(name, r"(\d+)(?:\.claim|/.*)"), default=0) + 1
            claim = Claim(revision=revision, run_id=run_id, digest=digest, created=_now())
            key = f"{folder}{revision}.claim"
            while self._objects.write(key, claim.to_bytes(), expected=None) is None:
                claim = claim.model_copy(update={"revision": claim.revision + 1})
                key = f"{folder}{claim.revision}.claim"
            # Of two attempts of one run at once, the first to write this decides for both; the
            # other's number stays unused.
            self._objects.write(binding, claim.to_bytes(), expected=None)
            found = self._objects.read(binding)
        if found is None:
            raise SetlistError(f"store {self.uri}: {binding} was removed meanwhile; run again.")
        claim = Claim.parse(found[0], f"store {self.uri}: {binding}")
        if claim.digest != digest:
            raise SetlistError(
                f"store {self.uri}: run {run_id} has claimed revision {claim.revision} of {name} "
                f"for another model (digest {claim.digest}, now {digest}); start a new run."
            )
        return claim

    def _compare(self, manifest: Manifest, folder: str) -> None:
        """Refuse a revision folder whose files are not exactly those that the manifest lists."""
        there = {key.removeprefix(folder) for key in self._objects.keys(folder)} - {MANIFEST}
        if unlisted := sorted(there - set(manifest.files)):
            raise SetlistError(
                f"store {self.uri}: {folder}{unlisted[0]} is not in the manifest; remove it, or "
                "stage the model again in a new run."
            )
        if missing := sorted(set(manifest.files) - there):
            raise SetlistError(
                f"store {self.uri}: {folder}{missing[0]} is missing; stage the model again."
            )


def describe(file: Path) -> File:
    """The SHA-256 and size of a file."""
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        return File(sha256=sha256, size=content.tell())


def _paths(model: Path) -> list[str]:
    """The relative paths of a model's files, in order."""
    if not model.is_dir():
        raise SetlistError(f"{model}: there is no model folder; name the folder of a saved model.")
    paths = []
    for entry in sorted(model.rglob("*")):
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise SetlistError(f"{entry}: a model holds plain files only; replace it by a file.")
        if entry.is_file():
            paths.append(entry.relative_to(model).as_posix())
    if not paths:
        raise SetlistError(f"{model}: the model folder is empty; name the folder of a saved model.")
    return paths


def _checked(name: str) -> str:
    if not re.fullmatch(NAME, name) or RESERVED & set(name.split("/")):
        raise SetlistError(
            f"name: {name!r} is no model name; write lower-case letters, digits and hyphens, "
            "parts separated by /, none of them 'revisions' or 'head'."
        )
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
