"""Print TRIM-Thr's expected metrics in TRIM's world under every assumption, beside the published curve."""

from steproute.evaluation.metrics import Anchor, Curve, CurvePoint, measure
from steproute.evaluation.published import published_curves
from steproute.lab.trim_world.expected import expected_threshold
from steproute.lab.trim_world.parameters import load_parameters

BINS = 20
SHOWN = (0.05, 0.5, 0.95)


def main() -> None:
    """A row for each assumption; thresholds 0 and 1 are always-weak and always-strong."""
    columns = ("always weak", "best", "always strong", "CPT(50 %)", "CPT(80 %)", "CPT(95 %)", *map(_at, SHOWN))
    print("| TRIM-Thr | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    world = load_parameters()
    for name in world.assumptions:
        points = [expected_threshold(world, name, bins) for bins in range(BINS + 1)]
        print(_row(f"`{name}`", curve([(p.accuracy, p.strong_tokens) for p in points])))
    published = sorted(published_curves("trim-world")[0].points, key=lambda point: point.knob)
    print(_row("published run", curve([(p.accuracy, p.strong_tokens) for p in published])))


def curve(points: list[tuple[float, float]]) -> Curve:
    """A curve of (accuracy, strong tokens) at thresholds 0, 0.05, … 1, with its ends as anchors."""
    weak, strong = (Anchor(accuracy=a, strong_tokens=tokens) for a, tokens in (points[0], points[-1]))
    knobs = (CurvePoint(knob=bins / BINS, accuracy=a, strong_tokens=tokens) for bins, (a, tokens) in enumerate(points))
    return Curve(points=tuple(knobs), weak=weak, strong=strong)


def _row(name: str, of: Curve) -> str:
    metrics, best = measure(of), max(point.accuracy for point in of.points)
    cells = [of.weak.accuracy, best, of.strong.accuracy, *(metrics[name] for name in ("cpt50", "cpt80", "cpt95"))]
    cells += [of.points[round(BINS * knob)].strong_tokens / of.strong.strong_tokens for knob in SHOWN]
    return " | ".join([f"| {name}", *map(_percent, cells)]) + " |"


def _at(threshold: float) -> str:
    return f"c at {threshold:g}"


def _percent(value: float) -> str:
    return "not reached" if value == float("inf") else f"{100 * value:.1f} %"


if __name__ == "__main__":
    main()
