"""How far `steproute eval --estimate` is from the bill: three configurations, without traces and after a few problems.

Run in a checkout: PYTHONPATH=src:. python benchmarks/estimate_error.py
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.paid_servers import PaidServer, served, write_setup

STEPROUTE: Final = str(Path(sys.executable).with_name("steproute"))
KNOBS: Final = ("--knobs", "0,0.3,0.6,0.9,1")


def printed(folder: Path, *words: str) -> str:
    return subprocess.run(
        [STEPROUTE, "eval", *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


def row(text: str, name: str) -> list[float]:
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return [float(number.replace(",", "")) for number in re.findall(r"(?<=[\s$])[\d.,]+(?=\s|$)", line)[-3:]]


def measure(folder: Path, name: str, words: tuple[str, ...], problems: int) -> None:
    whole = (*words, *KNOBS, "--problems", str(problems), "--name", "whole")
    estimates = {"no traces": printed(folder, *whole, "--estimate")}
    for few in (5, 20):
        printed(folder, *words, *KNOBS, "--problems", str(few), "--name", f"few-{few}")
        estimates[f"{few} problems"] = printed(folder, *whole, "--estimate")
    printed(folder, *whole)
    found = json.loads((folder / "runs/whole/summary.json").read_text())
    points = [found["weak"], found["strong"], *found["points"], *(p for b in found["baselines"] for p in b["points"])]
    bill, calls = found["spent_usd"], sum(point["calls"] for point in points) * found["problems"]
    seconds = sum(point["latency_s"] for point in points) * found["problems"]
    for source, text in estimates.items():
        low, expected, high = row(text, "dollars")
        _, expected_calls, _ = row(text, "calls")
        minutes = row(text, "minutes")
        error, error_in_calls = expected / bill - 1, expected_calls / calls - 1
        print(
            f"| {name} | {source} | ${expected:.4f} [{low:.4f}, {high:.4f}] | ${bill:.4f} | {error:+.0%} "
            f"| {error_in_calls:+.0%} | {minutes[1]:.1f} of {seconds / 60 / 32:.1f} |",
            flush=True,
        )


def main() -> None:
    print("| models | known | expected dollars | bill | error | error in calls | minutes |")
    print("|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        measure(Path(folder), "lab", ("--data", "lab"), 100)
    with TemporaryDirectory() as folder:
        measure(Path(folder), "TRIM's world", ("--data", "trim-world"), 200)
    with TemporaryDirectory() as folder, served(PaidServer(prm_s=0.02)) as url:
        write_setup(Path(folder), url, 100, 0.05)
        measure(Path(folder), "a server", ("--config", "steproute.toml", "--data", "own.jsonl"), 100)


if __name__ == "__main__":
    main()
