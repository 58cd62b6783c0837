"""A document is read back as it was written; any other becomes one sentence."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from setlist.documents import first_fault, parse_document, read_document
from setlist.errors import EvaluationError, ModelError


class Concert(BaseModel):
    model_config = ConfigDict(extra="forbid")

    city: str
    songs: dict[str, int]

    @field_validator("city")
    @classmethod
    def _known(cls, city: str) -> str:
        if not city:
            raise ValueError("a concert has a city")
        return city


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    concert = Concert(city="Lahti", songs={"first": 1})
    path = tmp_path / "concert.json"
    path.write_text(concert.model_dump_json(), "utf-8")
    assert read_document(path, Concert, ModelError, "write it again") == concert
    assert parse_document(path.read_bytes(), "here", Concert, ModelError, "-") == concert


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    path = tmp_path / "concert.json"
    with pytest.raises(ModelError) as raised:
        read_document(path, Concert, ModelError, "write it again")
    assert str(raised.value) == f"{path} is missing; write it again."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"city": "", "songs": {}}', "city: a concert has a city"),
        ('{"city": "Lahti", "songs": {"first": "x"}}', "songs.first: Input should be a valid int"),
        ('{"city": "Lahti"}', "songs: Field required"),
        ('{"city": "Lahti', "Invalid JSON"),
        ('{"city": "Lahti", "songs": {}, "a\\nb": 1}', "Extra inputs are not permitted"),
    ],
)
def test_a_damaged_document_is_one_sentence(content: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "concert.json"
    path.write_text(content, "utf-8")
    with pytest.raises(EvaluationError) as raised:
        read_document(path, Concert, EvaluationError, "write it again")
    assert str(raised.value).startswith(f"{path}: {sentence}")
    assert str(raised.value).endswith("; write it again.")
    assert "\n" not in str(raised.value)


def test_a_fault_in_a_key_names_the_key() -> None:
    class Numbered(BaseModel):
        songs: dict[int, str]

    with pytest.raises(ValidationError) as raised:
        Numbered.model_validate_json('{"songs": {"x": "first"}}')
    assert first_fault(raised.value).startswith("songs.x: Input should be a valid integer")
