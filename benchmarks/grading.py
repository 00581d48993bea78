"""Grade every gold answer of seven data sets against itself in harmless rewritings and in changes of meaning.

    STEPROUTE_DATA=... python benchmarks/grading.py [--sample 50] [--seed 0] [--out figures.json] [--failures 20]

`--sample` takes that many gold answers of each data set, drawn by the seed; all of them if it is left out. Results of
finished data sets are kept in `--out`, so that the same command continues after an interruption.
"""

import argparse
import json
import random
import sys
from pathlib import Path

from answer_variants import changes, rewritings

from steproute.evaluation.datasets import BENCHMARKS, data_file, read_rows
from steproute.grading.checker import AnswerChecker

SETS = tuple(sorted(BENCHMARKS))
Counts = dict[str, dict[str, list[int]]]


def main() -> None:
    """Grade, and print one line per data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--failures", type=int, default=0, help="how many failures of each data set to print")
    options = parser.parse_args()
    done: dict[str, Counts] = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    print("| data set | gold answers | rewritings accepted | changes rejected | undecided |\n|---|---|---|---|---|")
    with AnswerChecker() as checker:
        for name in options.sets.split(","):
            key = f"{name}/{options.sample}/{options.seed}"
            if key not in done:
                done[key] = graded(name, golds_of(name, options.sample, options.seed), checker, options.failures)
                if options.out:
                    options.out.write_text(json.dumps(done, indent=1))
            print(row(name, done[key]), flush=True)
    for kind in ("rewritings", "changes"):
        print(f"\n{kind}, worst first:", *worst(list(done.values()), kind), sep="\n  ")


def golds_of(name: str, sample: int | None, seed: int) -> list[str]:
    """The data set's gold answers, or a sample of them in which different ones come first."""
    golds = [str(line["answer"]) for _, line in read_rows(data_file(BENCHMARKS[name]))]
    if sample is None or sample >= len(golds):
        return golds
    draw = random.Random(f"{seed}/{name}")
    different = sorted(set(golds))
    return draw.sample(different, min(sample, len(different)))


def graded(name: str, golds: list[str], checker: AnswerChecker, failures: int) -> Counts:
    """[correct verdicts, undecided ones, tried ones] of each kind of variant."""
    counts: Counts = {"rewritings": {}, "changes": {}}
    for number, gold in enumerate(golds, 1):
        for kind, variants, right in (("rewritings", rewritings, "correct"), ("changes", changes, "incorrect")):
            for variant, text in variants(gold):
                try:
                    verdict = str(checker.check_now(text, gold))
                except Exception as failure:
                    verdict = type(failure).__name__
                tally = counts[kind].setdefault(variant, [0, 0, 0])
                tally[0] += verdict == right
                tally[1] += verdict not in ("correct", "incorrect")
                tally[2] += 1
                if verdict != right and failures > 0:
                    failures -= 1
                    print(f"   {variant}: {text!r} against {gold!r} is {verdict}", file=sys.stderr)
        if number % 50 == 0:
            print(f"\r{name} {number}/{len(golds)}", end="", file=sys.stderr, flush=True)
    counts["golds"] = {name: [0, 0, len(golds)]}
    return counts


def row(name: str, counts: Counts) -> str:
    """One line of the table."""
    shares = []
    for kind in ("rewritings", "changes"):
        right, _, tried = (sum(tally[i] for tally in counts[kind].values()) for i in range(3))
        shares.append(f"{100 * right / max(tried, 1):.2f} % of {tried}")
    undecided = sum(tally[1] for kind in ("rewritings", "changes") for tally in counts[kind].values())
    golds = counts["golds"][name][2]
    return f"| {name} | {golds} | {shares[0]} | {shares[1]} | {undecided} |"


def worst(results: list[Counts], kind: str) -> list[str]:
    """The variants with the most failures over all data sets."""
    sums: dict[str, list[int]] = {}
    for counts in results:
        for variant, tally in counts[kind].items():
            sums[variant] = [a + b for a, b in zip(sums.get(variant, [0, 0, 0]), tally, strict=True)]
    failed = sorted((tally[0] - tally[2], variant, tally) for variant, tally in sums.items() if tally[0] < tally[2])
    return [f"{variant}: {tally[2] - tally[0]} of {tally[2]}" for _, variant, tally in failed]


if __name__ == "__main__":
    main()
