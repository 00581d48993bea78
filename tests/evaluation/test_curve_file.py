import json
import os
from pathlib import Path

import pytest

from steproute.core.errors import DatasetError
from steproute.evaluation.curve_file import read_curve
from steproute.evaluation.metrics import Anchor, CurvePoint

DATA = Path(os.environ.get("STEPROUTE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
PUBLISHED = DATA / "trim_reference" / "published_curves.json"
THR, POMDP = "trim_thr_math500_qwen2.5-1.5b_7b", "trim_pomdp_math500_qwen2.5-1.5b_7b"

published = pytest.mark.skipif(not PUBLISHED.exists(), reason=f"{PUBLISHED} is absent; set STEPROUTE_DATA")


def ours(knob: float, accuracy: float, strong_tokens: float) -> dict[str, float]:
    return {"knob": knob, "accuracy": accuracy, "strong_tokens": strong_tokens}


def theirs(threshold: float, accuracy: float, strong_tokens: float) -> dict[str, float]:
    return {"threshold": threshold, "accuracy": accuracy, "avg_target_tokens_per_question": strong_tokens}


SWEEP = {"points": [ours(0, 0.4, 0), ours(0.5, 0.6, 100), ours(1, 0.8, 500)]}


@pytest.fixture
def written(tmp_path: Path):
    def write(document: object) -> Path:
        path = tmp_path / "curve.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


def test_a_summary_takes_its_anchors_from_the_points(written) -> None:
    curve = read_curve(written(SWEEP))
    assert curve.points[1] == CurvePoint(knob=0.5, accuracy=0.6, strong_tokens=100)
    assert curve.weak == Anchor(accuracy=0.4, strong_tokens=0)
    assert curve.strong == Anchor(accuracy=0.8, strong_tokens=500)


def test_anchors_that_are_given_win(written) -> None:
    weak, strong = {"accuracy": 0.41, "strong_tokens": 0}, {"accuracy": 0.79, "strong_tokens": 480}
    curve = read_curve(written({**SWEEP, "weak": weak, "strong": strong, "policy": "threshold"}))
    assert curve.weak == Anchor(accuracy=0.41, strong_tokens=0)
    assert curve.strong == Anchor(accuracy=0.79, strong_tokens=480)


def test_a_list_is_read_in_the_published_shape(written) -> None:
    curve = read_curve(written([theirs(1, 0.8, 500), theirs(0.5, 0.6, 100), theirs(0, 0.4, 0)]))
    assert [point.knob for point in curve.points] == [1, 0.5, 0]
    assert curve.strong == Anchor(accuracy=0.8, strong_tokens=500)


def test_a_name_selects_one_of_several_curves(written) -> None:
    path = written({"one": SWEEP, "two": [theirs(0, 0.3, 0), theirs(1, 0.9, 700)]})
    assert read_curve(path, "one").strong.strong_tokens == 500
    assert read_curve(path, "two").strong.strong_tokens == 700


def test_a_single_named_curve_needs_no_name(written) -> None:
    assert read_curve(written({"only": SWEEP})).strong.strong_tokens == 500


def test_anchors_can_come_from_another_curve(written) -> None:
    pomdp = [{"cost_per_token": 0.15, "accuracy": 0.7, "avg_target_tokens_per_question": 170}]
    path = written({"thr": SWEEP, "pomdp": pomdp})
    curve = read_curve(path, "pomdp", anchors_from="thr")
    assert curve.points == (CurvePoint(knob=0.15, accuracy=0.7, strong_tokens=170),)
    assert (curve.weak.accuracy, curve.strong.accuracy) == (0.4, 0.8)


def test_a_cost_of_one_is_not_taken_for_always_strong(written) -> None:
    pomdp = [{"cost_per_token": knob, "accuracy": 0.5, "avg_target_tokens_per_question": 0} for knob in (0.5, 1)]
    with pytest.raises(DatasetError, match=r"strong: missing, and the largest threshold is None.*anchors_from"):
        read_curve(written(pomdp))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", r"\$: \[\] is not a list of points"),
        ("{}", "holds no curve"),
        ("3", "holds no curve"),
        ({"points": [{"knob": 0, "accuracy": 0.4}]}, r"\$\.points\[0\]\.strong_tokens: missing.*accuracy, knob"),
        ({"points": {}}, r"\$\.points: \{\} is not a list"),
        ({"points": [3]}, r"\$\.points\[0\]: 3\.0 is not an object"),
        ({"points": [ours(float("nan"), 0.4, 0)]}, r"points\[0\]\.knob: NaN is not a number"),
        ({"points": [ours(0, float("nan"), 0)]}, r"points\[0\]\.accuracy: NaN is not a number"),
        ({"points": [ours(0, 0.4, float("inf"))]}, r"points\[0\]\.strong_tokens: Infinity is not a number"),
        ({"points": [ours(0, 1.2, 0)]}, r"points\[0\]\.accuracy: 1\.2 is outside \[0, 1\].*0\.73"),
        ({"points": [ours(0, 0.4, -2)]}, r"points\[0\]\.strong_tokens: -2\.0 is negative"),
        ({"points": [{**ours(0, 0.4, 0), "accuracy": "0.4"}]}, r'accuracy: "0\.4" is not a number.*quotes'),
        ({"points": [{**ours(0, 0.4, 0), "accuracy": True}]}, "accuracy: true is not a number"),
        ([theirs(0, 0.4, 0), {"accuracy": 0.5}], r"\$\[1\]\.avg_target_tokens_per_question: missing"),
        ({"points": [ours(0.5, 0.6, 100), ours(1, 0.8, 500)]}, r"weak: missing, and no point spends 0.*'weak'"),
        ({"points": [ours(0, 0.4, 0), ours(0.1, 0.5, 0)]}, r"weak: missing, and points with 0.*0\.4, 0\.5"),
        (
            {"points": [ours(0, 0.4, 0), ours(0.9, 0.8, 500)]},
            r"strong: missing, and the largest knob is 0\.9.*'strong'",
        ),
        ({"points": [ours(0, 0.4, 0), ours(0.9, 0.8, 500), ours(1, 0.5, 9)]}, "spends 9.0 strong tokens, less than"),
        ({**SWEEP, "strong": {"accuracy": 0.8}}, r"\$\.strong\.strong_tokens: missing"),
        ({"one": SWEEP, "two": SWEEP}, "several curves. Name one of one, two"),
    ],
)
def test_errors_of_a_malformed_file_name_field_value_and_remedy(written, document: object, message: str) -> None:
    path = written(document)
    with pytest.raises(DatasetError, match=message) as caught:
        read_curve(path)
    assert str(caught.value).startswith(str(path))


def test_an_unknown_curve_name_lists_the_known_ones(written) -> None:
    path = written({"one": SWEEP, "two": SWEEP})
    with pytest.raises(DatasetError, match=r"no curve 'three'\. Name one of one, two"):
        read_curve(path, "three")
    with pytest.raises(DatasetError, match="no curve 'three'"):
        read_curve(path, "one", anchors_from="three")


def test_a_name_for_an_unnamed_curve_is_refused(written) -> None:
    with pytest.raises(DatasetError, match="one curve without a name"):
        read_curve(written(SWEEP), "one")


def test_a_missing_or_binary_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"absent\.json: there is no such file"):
        read_curve(tmp_path / "absent.json")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_curve(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_curve(tmp_path / "binary.json")


@published
def test_the_published_trim_thr_curve_holds_its_own_anchors() -> None:
    curve = read_curve(PUBLISHED, THR)
    assert len(curve.points) == 21
    assert curve.weak == Anchor(accuracy=0.364, strong_tokens=0)
    assert curve.strong == Anchor(accuracy=0.73, strong_tokens=494.84)


@published
def test_the_published_pomdp_points_need_the_anchors_of_another_curve() -> None:
    with pytest.raises(DatasetError, match="anchors_from"):
        read_curve(PUBLISHED, POMDP)
    assert len(read_curve(PUBLISHED, POMDP, anchors_from=THR).points) == 8
