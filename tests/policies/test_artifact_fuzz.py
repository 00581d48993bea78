"""Whatever an artefact's files hold, loading gives a policy that works or an ArtifactError; no code runs."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steproute import Decision, Draft, Observation, Prefix, Problem, Stop, Usage
from steproute.artifacts import Artifact, write_artifact
from steproute.core.errors import ArtifactError
from steproute.learn.plan import plan
from steproute.policies.mixture import BudgetCurve
from steproute.policies.stored import load_policy, mixture_artifact, pomdp_artifact
from steproute.policies.trim.agg import AGGREGATES, CONFIDENCES
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp
from steproute.policies.trim.pomdp_policy import PomdpFamily
from steproute.scorers.calibrated import Isotonic, Temperature
from steproute.scorers.calibration_file import load_score_map, score_map_artifact

RNG = np.random.default_rng(0)
SEEN = Observation(
    prefix=Prefix(problem=Problem.ask(id="p", text="what is 2 + 2?")),
    draft=Draft(
        model="m", text="a step", stop=Stop.SEPARATOR, usage=Usage(output_tokens=3), logprobs=(-0.1, -0.2, -0.3)
    ),
    scores=(0.4,),
    max_steps=30,
)


def _agg(inputs: int) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "blocks.0.weight": RNG.normal(size=(8, inputs)),
        "blocks.0.bias": np.zeros(8),
        "blocks.0.gain": np.ones(8),
        "blocks.0.shift": np.zeros(8),
        "logits.weight": RNG.normal(size=(2, 8)),
        "logits.bias": np.zeros(2),
    }


def _seq(width: int = 8) -> dict[str, np.ndarray[Any, Any]]:
    weights = {"step.weight": (width, 3), "step.bias": (width,), "position": (30, width), "gain": (width,)}
    weights |= {"shift": (width,), "logits.weight": (2, width), "logits.bias": (2,)}
    for layer in range(2):
        shapes = {"attention_gain": (width,), "attention_shift": (width,), "qkv.weight": (3 * width, width)}
        shapes |= {"qkv.bias": (3 * width,), "out.weight": (width, width), "out.bias": (width,), "mlp_gain": (width,)}
        shapes |= {"mlp_shift": (width,), "up.weight": (16, width), "up.bias": (16,), "down.weight": (width, 16)}
        shapes |= {"down.bias": (width,)}
        weights |= {f"layers.{layer}.{name}": shape for name, shape in shapes.items()}
    return {name: RNG.normal(size=shape) for name, shape in weights.items()}


def _artifacts(folder: Path) -> dict[str, Artifact]:
    observations = RNG.random((3, 4, 4))
    model = StepPomdp(
        weak_accuracy=0.8,
        rewriters=(Rewriter("strong", 0.95),),
        hazard=np.array([0.0, 0.2, 0.5, 1.0]),
        observations=observations / observations.sum((1, 2), keepdims=True),
    )
    learned = {"low": 0.001, "high": 0.1}
    aggregated = learned | {"features": "log-odds"}
    terms = {"terms": ["what", "is"]}
    text = {"idf": np.ones(2), "grid": np.array([0.0, 0.5, 1.0])}
    made = {
        "pomdp": pomdp_artifact(PomdpFamily(plan(model, [0.1, 0.4], points=5)), {"seed": 3}),
        "agg": Artifact(kind="agg", arrays=_agg(AGGREGATES + 1), facts=aggregated),
        "agg-confidence": Artifact(kind="agg-confidence", arrays=_agg(AGGREGATES + CONFIDENCES + 1), facts=aggregated),
        "seq": Artifact(kind="seq", arrays=_seq(), facts=learned),
        "query-sw": Artifact(
            kind="query-sw", arrays={**text, "vectors": np.eye(3, 2), "right": np.array([1.0, 0.0, 1.0])}, facts=terms
        ),
        "query-classifier": Artifact(
            kind="query-classifier", arrays={**text, "weights": np.ones(3), "bias": np.zeros(1)}, facts=terms
        ),
    }
    write_artifact(made["agg"], folder / "agg")
    curve = BudgetCurve(axis="tokens", knobs=(0.1, 0.05), costs=(5.0, 20.0))
    named = BudgetCurve(axis="usd", knobs=(0.2, 0.6), costs=(0.0, 0.001))
    made["mixture of a folder"] = mixture_artifact(curve, 10.0, 0.2, 1.5, str(folder / "agg"), {}, folder / "agg")
    made["mixture"] = mixture_artifact(named, 0.0005, 0.0005, 1.5, "threshold", {})
    return made


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return _artifacts(tmp_path_factory.mktemp("artifacts"))


KINDS = ["pomdp", "agg", "agg-confidence", "seq", "query-sw", "query-classifier", "mixture of a folder", "mixture"]


def used(folder: Path) -> None:
    family = load_policy(folder)
    for knob in family.knobs:
        assert isinstance(family.at(knob, 0).decide(SEEN), Decision)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_works_as_it_is(tmp_path: Path, artifacts: dict[str, Artifact], kind: str) -> None:
    write_artifact(artifacts[kind], tmp_path)
    used(tmp_path)


HOSTILE: list[Any] = [None, True, 0, -1, 1, 0.5, math.nan, math.inf, -math.inf, 1e308, 10**400, "", "evil", "tokens"]
HOSTILE += [
    [],
    [[]],
    [0.5],
    [1, 0],
    ["a"],
    {},
    {"kind": "agg"},
    "threshold",
    "../../etc",
    "\ud800",
    [math.nan, 1],
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_facts_that_are_none_are_an_artifact_error(
    tmp_path_factory: pytest.TempPathFactory, artifacts: dict[str, Artifact], data: st.DataObject, kind: str
) -> None:
    artifact = artifacts[kind]
    facts = json.loads(json.dumps(dict(artifact.facts)))
    *above, last = data.draw(st.sampled_from([place for place in _places(facts) if place]))
    inside = facts
    for key in above:
        inside = inside[key]
    if data.draw(st.booleans()) and isinstance(inside, dict):
        del inside[last]
    else:
        inside[last] = deepcopy(data.draw(st.sampled_from(HOSTILE)))
    folder = tmp_path_factory.mktemp("artifact")
    write_artifact(Artifact(kind=artifact.kind, arrays=artifact.arrays, facts=facts), folder)
    _works_or_is_refused(folder)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_arrays_that_do_not_fit_are_an_artifact_error(
    tmp_path_factory: pytest.TempPathFactory, artifacts: dict[str, Artifact], data: st.DataObject, kind: str
) -> None:
    artifact = artifacts[kind]
    arrays = {name: np.array(array) for name, array in artifact.arrays.items()}
    if not arrays:
        return
    name = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays.pop(name)
    changes = {
        "missing": None,
        "other name": None,
        "nan": np.where(np.arange(array.size).reshape(array.shape) == array.size // 2, np.nan, array),
        "infinite": np.full_like(array, np.inf),
        "huge": np.full_like(array, 1e308),
        "negative": -np.abs(array) - 1,
        "flat": array.reshape(-1),
        "deeper": array[None],
        "scalar": np.array(0.5),
        "empty": np.zeros(0),
        "no rows": array[:0],
        "shorter": array[:-1],
        "longer": np.concatenate([array, array]),
        "transposed": array.T,
        "integers": array.astype(np.int64),
        "halves": array.astype(np.float16),
        "booleans": array > 0,
        "complex": array.astype(np.complex64),
    }
    how = data.draw(st.sampled_from(sorted(changes)))
    if (changed := changes[how]) is not None:
        arrays[name] = changed
    elif how == "other name":
        arrays[f"{name}x"] = array
    folder = tmp_path_factory.mktemp("artifact")
    try:
        write_artifact(Artifact(kind=artifact.kind, arrays=arrays, facts=artifact.facts), folder)
    except KeyError:  # safetensors writes no such type
        return
    _works_or_is_refused(folder)


def _with_one(value: float) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    return lambda array: np.where(np.arange(array.size).reshape(array.shape) == array.size // 2, value, array)


@pytest.mark.parametrize(
    ("change", "kinds", "reason"),
    [
        (_with_one(math.nan), KINDS[:-1], "holds something that is no finite number"),
        (_with_one(math.inf), KINDS[:-1], "holds something that is no finite number"),
        (lambda array: array > 0, KINDS[:-1], "holds something that is no finite number"),
        (lambda array: array[:0], KINDS[:-1], "has shape"),
        (lambda array: array[None], ["pomdp", "query-sw", "query-classifier"], "has shape"),
    ],
    ids=["nan", "inf", "booleans", "empty", "deeper"],
)
def test_an_array_that_a_policy_could_run_with_is_refused_all_the_same(
    tmp_path: Path, artifacts: dict[str, Artifact], change: Any, kinds: list[str], reason: str
) -> None:
    """With one undefined weight a network always accepts."""
    for kind in kinds:
        artifact = artifacts[kind]
        for name, array in artifact.arrays.items():
            arrays = {**artifact.arrays, name: change(array)}
            write_artifact(Artifact(kind=artifact.kind, arrays=arrays, facts=artifact.facts), tmp_path)
            with pytest.raises(ArtifactError, match=f"{re.escape(name)}: the array {reason}"):
                load_policy(tmp_path)


@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        ("pomdp", ("belief",), "evil"),
        ("mixture", ("curve", "axis"), "evil"),
        ("mixture", ("curve", "costs"), "12"),
        ("mixture", ("numbers", "cost"), -1.0),
        ("mixture", ("numbers", "deviation"), math.nan),
        ("mixture", ("numbers", "goal"), "0.5"),
        ("mixture", ("numbers", "goal"), True),
        ("mixture", ("policy",), ["threshold"]),
        ("mixture of a folder", ("inner", "kind"), ["agg"]),
        ("agg", ("low",), 0),
        ("agg", ("low",), "0.001"),
        ("agg", ("low",), 1.0),
        ("query-sw", ("terms",), "is"),
        ("query-sw", ("terms",), ["what", 3]),
    ],
)
def test_a_fact_that_a_policy_could_run_with_is_refused_all_the_same(
    tmp_path: Path, artifacts: dict[str, Artifact], kind: str, place: tuple[str, ...], value: Any
) -> None:
    artifact = artifacts[kind]
    facts = json.loads(json.dumps(dict(artifact.facts)))
    inside = facts
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    write_artifact(Artifact(kind=artifact.kind, arrays=artifact.arrays, facts=facts), tmp_path)
    with pytest.raises(ArtifactError, match="^policy: "):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("kind", "arrays", "reason"),
    [
        ("query-sw", {"grid": np.array([0.0, 1.5])}, "knob: 1.5 is outside"),
        ("query-sw", {"right": np.full(3, 7.0)}, "no probability"),
        ("pomdp", {"upper": np.zeros((2, 9, 5))}, "are not those of a plan of 2 costs and 3 stages"),
    ],
)
def test_arrays_of_the_right_form_that_mean_nothing_are_refused(
    tmp_path: Path, artifacts: dict[str, Artifact], kind: str, arrays: dict[str, Any], reason: str
) -> None:
    artifact = artifacts[kind]
    write_artifact(Artifact(kind=kind, arrays={**artifact.arrays, **arrays}, facts=artifact.facts), tmp_path)
    with pytest.raises(ArtifactError, match=f"^policy: .*{reason}"):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("pomdp", "model"), ("pomdp", "belief"), ("agg", "low"), ("query-sw", "terms"), ("mixture", "curve")],
)
def test_a_fact_that_is_missing_is_named(tmp_path: Path, artifacts: dict[str, Artifact], kind: str, name: str) -> None:
    artifact = artifacts[kind]
    facts = {key: value for key, value in artifact.facts.items() if key != name}
    write_artifact(Artifact(kind=artifact.kind, arrays=artifact.arrays, facts=facts), tmp_path)
    with pytest.raises(ArtifactError, match=f"{name}.* is missing"):
        load_policy(tmp_path)


def _works_or_is_refused(folder: Path) -> None:
    with np.errstate(all="ignore"):
        try:
            load_policy(folder)
        except ArtifactError as failure:
            assert str(failure).startswith("policy: ")  # noqa: PT017 - either is right
            return
        used(folder)


def signed(folder: Path, document: dict[str, Any], tensors: bytes) -> None:
    document = {"format": 1, "kind": "agg", "facts": {}} | document
    document.setdefault("tensors_sha256", hashlib.sha256(tensors).hexdigest())
    document["sha256"] = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    (folder / "policy.json").write_text(json.dumps(document))
    (folder / "policy.safetensors").write_bytes(tensors)


def tensors(header: Any, data: bytes = b"\0" * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def one(dtype: str, shape: list[int], end: int) -> bytes:
    return tensors({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}, b"\0" * end)


DTYPES = {"BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F4": 1, "C64": 8, "BOOL": 1, "U8": 1, "F16": 2, "EVIL": 4}


@pytest.mark.parametrize(
    "content",
    [
        *(one(dtype, [2], 2 * size) for dtype, size in DTYPES.items()),
        one("F32", [2**62, 4], 8),
        one("F32", [-1], 4),
        b"",
        b"\0" * 8,
        b"\xff" * 64,
        tensors(b"[" * 100_000),
        tensors([]),
        tensors({"a": 3}),
        b"\x80\x04cposix\nsystem\n",
    ],
    ids=lambda content: repr(content[:40]),
)
def test_hostile_tensors_are_an_artifact_error(tmp_path: Path, content: bytes) -> None:
    signed(tmp_path, {}, content)
    with pytest.raises(ArtifactError, match="^policy: "):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    "document",
    [
        *({"kind": value} for value in (["agg"], {}, None, 3, "tarot", "isotonic")),
        *({"facts": value} for value in ([], None, "x", 3)),
        *({"tensors_sha256": value} for value in (None, 3, [], "")),
        *({"format": value} for value in (0, 2, "1", None, [])),
    ],
    ids=repr,
)
def test_a_hostile_document_is_an_artifact_error(tmp_path: Path, document: dict[str, Any]) -> None:
    signed(tmp_path, document, one("F32", [2], 8))
    with pytest.raises(ArtifactError, match="^policy: "):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "", "null", "3", '"x"', "[]", '{"format": 1}', "\xff", "{" * 3],
    ids=lambda text: text[:10],
)
def test_a_policy_json_that_is_none_is_an_artifact_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.json").write_text(text, encoding="latin-1")
    (tmp_path / "policy.safetensors").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"policy\.json"):
        load_policy(tmp_path)


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_a_folder_in_the_place_of_a_file_is_an_artifact_error(
    tmp_path: Path, artifacts: dict[str, Artifact], name: str
) -> None:
    write_artifact(artifacts["agg"], tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(ArtifactError, match="Is a directory"):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"numbers": np.array(values)}
        for values in ([], [0.0, 0.0], [-1.0, 0.0], [math.nan, 0.0], [1.0, math.inf], [1.0, 2.0, 3.0], [[1.0, 0.0]])
    ]
    + [
        {"scores": np.array(scores), "values": np.array(values)}
        for scores, values in (
            ([], []),
            ([0.0, 1.0], [0.0]),
            ([0.0, 1.0], [0.0, math.nan]),
            ([0.0, 1.0], [0.5, 7.0]),
            ([0.0, 1.0], [-1.0, 0.5]),
            ([1.0, 0.0], [0.0, 1.0]),
        )
    ]
    + [{}],
    ids=repr,
)
def test_a_score_map_that_is_none_is_an_artifact_error(tmp_path: Path, arrays: dict[str, Any]) -> None:
    kind = "isotonic" if "scores" in arrays else "temperature"
    write_artifact(Artifact(kind=kind, arrays=arrays), tmp_path)
    check_told_to_calibrate(tmp_path)
    for sound in (Temperature(2.0, -0.5), Isotonic(np.array([0.0, 1.0]), np.array([0.1, 0.9]))):
        write_artifact(score_map_artifact(sound, {}), tmp_path)
        load_score_map(tmp_path)


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "altered", "a folder", "no JSON"])
def test_a_damaged_score_map_is_to_be_calibrated_again_not_trained(tmp_path: Path, name: str, damage: str) -> None:
    write_artifact(score_map_artifact(Temperature(2.0, -0.5), {}), tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        damaged = {"empty": b"", "cut": whole[:-9], "altered": whole[:-9] + b"x" + whole[-8:], "no JSON": b"[1]"}
        path.write_bytes(damaged[damage])
    if (name, damage) == ("policy.json", "missing"):
        with pytest.raises(ArtifactError, match="holds no calibration. `steproute calibrate-scorer` makes one"):
            load_score_map(tmp_path)
    else:
        check_told_to_calibrate(tmp_path)


def check_told_to_calibrate(folder: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"^scorer: .* is incomplete or damaged \(.*\)\. Calibrate it again\.$"
    ) as caught:
        load_score_map(folder)
    assert "policy: " not in str(caught.value)
    assert not re.search("[Tt]rain", str(caught.value).replace(str(folder), ""))
