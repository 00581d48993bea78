"""What it takes to cut steps out of text that arrives four characters at a time: CPU seconds, and how they grow.

python benchmarks/step_cutting.py
"""

import time

from steproute.backends.step_cutter import StepCutter

SIZES = (40_000, 160_000, 640_000)


def seconds(size: int, *, hide: bool) -> float:
    """CPU seconds for a step of `size` characters, or a thought of as many before a short step."""
    text = f"<think>{'let me see ' * (size // 11)}</think>So 5.\n\n" if hide else "let me see " * (size // 11)
    began = time.process_time()
    cutter = StepCutter("\n\n", hide_reasoning=hide, begins_in_reasoning=None if hide else False)
    for at in range(0, len(text), 4):
        cutter.feed(text[at : at + 4])
    assert cutter.text
    return time.process_time() - began


def main() -> None:
    print("characters   step, s   hidden thought, s   ratio to four times less")
    before: tuple[float, float] | None = None
    for size in SIZES:
        now = seconds(size, hide=False), seconds(size, hide=True)
        ratios = "" if before is None else f"{now[0] / before[0]:.1f} and {now[1] / before[1]:.1f}"
        print(f"{size:10}   {now[0]:7.3f}   {now[1]:17.3f}   {ratios}")
        before = now


if __name__ == "__main__":
    main()
