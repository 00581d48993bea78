"""The lists of models that servers give, and what doctor makes of servers that give none."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.http.hostile import Asked
from tests.patients import Patient, diagnose, ill

from steproute.backends.http.model_list import model_list, names_of
from steproute.doctor import Severity

FORMS = [
    ({"object": "list", "data": [{"id": "m", "max_model_len": 8192}]}, {"m": 8192}),
    ([{"id": "m", "context_length": 8192}, {"id": "n"}], {"m": 8192, "n": None}),
    ({"models": [{"name": "m", "model": "m:latest"}]}, {"m": None}),
    ({"models": [{"name": "models/m", "inputTokenLimit": 8192}]}, {"models/m": 8192}),
    ({"models": [{"model": "m"}], "object": "list", "data": [{"id": "m", "meta": {"n_ctx_train": 8192}}]}, {"m": 8192}),
    ({"data": [{"id": "m", "top_provider": {"context_length": 8192}}]}, {"m": 8192}),
    ({"data": [{"id": "m", "loaded_context_length": 8192, "max_context_length": 131072}]}, {"m": 8192}),
    ({"data": {"data": [{"id": "m"}]}}, {"m": None}),
    ({"result": {"models": ["m", "n"]}}, {"m": None, "n": None}),
    (["m"], {"m": None}),
    ({"data": [{"id": "m", "context_length": None}, {"id": None}, 3, None]}, {"m": None}),
    ({"data": [{"id": "m", "context_length": "8192"}]}, {"m": None}),
    ({"data": [{"id": "m", "context_length": -1}]}, {"m": None}),
    ({"data": [{"id": "m", "context_length": True}]}, {"m": None}),
    ({"data": [], "models": [{"name": "m"}]}, {"m": None}),
    ({"data": []}, {}),
    ([], {}),
    ({"data": None}, None),
    ({"data": "m"}, None),
    ({"error": "no such path"}, None),
    ([3], None),
    ("m", None),
    (None, None),
]


@pytest.mark.parametrize(("document", "models"), FORMS)
def test_lists_of_all_servers_are_read(document: object, models: dict[str, int | None] | None) -> None:
    assert model_list(document) == models


@given(
    st.recursive(
        st.one_of(st.none(), st.text(), st.integers()),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["data", "id", "models", "meta"]), x),
    )
)
def test_any_document_is_a_list_or_none(document: Any) -> None:
    models = model_list(document)
    assert models is None or all(isinstance(name, str) and name for name in models)


@pytest.mark.parametrize(
    ("model", "listed", "found"),
    [
        ("m", ["m", "n"], ["m"]),
        ("gemini-2.5-pro", ["models/gemini-2.5-pro"], ["models/gemini-2.5-pro"]),
        ("models/gemini-2.5-pro", ["gemini-2.5-pro"], ["gemini-2.5-pro"]),
        ("llama3.2", ["llama3.2:latest"], ["llama3.2:latest"]),
        ("llama3.2", ["llama3.2:1b"], []),
        ("m", ["models/n", "mm"], []),
    ],
)
def test_a_model_is_found_under_the_name_that_its_server_gives_it(
    model: str, listed: list[str], found: list[str]
) -> None:
    assert names_of(model, listed) == found


class Lists(Patient):
    """Has another answer to the question for its models."""

    def __init__(self, answer: object, status: int = 200) -> None:
        super().__init__()
        self.answer, self.status = answer, status

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        return await self._send(writer, self.status, self.answer)


@pytest.mark.parametrize(
    "answer", [json.dumps(document).encode() for document, models in FORMS if models and "m" in models]
)
def test_doctor_finds_the_model_in_any_list(tmp_path: Path, answer: bytes) -> None:
    assert ill(diagnose(tmp_path, Lists(b"\xef\xbb\xbf" + answer))) == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        *((json.dumps(document).encode(), 200) for document, models in FORMS if not models),
        (b"<!doctype html><html>Welcome</html>", 200),
        (b"", 200),
        (b"{", 200),
        (b"\xff\xfe", 200),
        (b"[" * 5000 + b"]" * 5000, 200),
        (b"not found", 404),
        (b"{}", 405),
        (b"oops", 500),
    ],
)
def test_a_server_without_a_list_is_warned_of_and_checked_all_the_same(
    tmp_path: Path, answer: bytes, status: int
) -> None:
    findings = [each for each in diagnose(tmp_path, Lists(answer, status)) if each.backend == "models.weak"]
    assert [(each.check, each.severity) for each in findings if each.severity is not Severity.OK] == [
        ("model", Severity.WARNING)
    ]
    assert {"writes a step", "continues a half-written answer", "ends a step"} <= {each.check for each in findings}
