"""Grade the final answers of ProcessBench and list every disagreement with its labels.

    STEPROUTE_DATA=... python benchmarks/processbench.py

Solutions whose problem has no gold answer in the data folder, and those without a box, are counted and left out.
"""

import msgspec

from steproute.core.boxed import closed_boxed
from steproute.core.grade import Verdict
from steproute.evaluation.datasets import data_file, read_rows
from steproute.grading.checker import AnswerChecker

SETS = ("gsm8k", "math", "olympiadbench", "omnimath")


def main() -> None:
    """Print the disagreements, then one line per set."""
    columns = (
        "set|graded|as labelled|correct, labelled incorrect|incorrect, labelled correct|undecided|no box|no gold answer"
    )
    lines = [f"|{columns}|", "|---" * 8 + "|"]
    with AnswerChecker() as checker:
        lines.extend(_graded(name, checker) for name in SETS)
    print("\n".join(lines))


def _graded(name: str, checker: AnswerChecker) -> str:
    counts = dict.fromkeys(("graded", "agree", "correct", "incorrect", "undecided", "no box", "no gold"), 0)
    for _, row in read_rows(data_file(f"processbench/{name}.jsonl.gz")):
        gold, answer = row["answer"], closed_boxed("\n\n".join(msgspec.convert(row["steps"], list[str])))
        if gold is None or answer is None:
            counts["no gold" if gold is None else "no box"] += 1
            continue
        verdict = checker.check_now(answer, str(gold))
        counts["graded"] += 1
        if (verdict is Verdict.CORRECT) == row["final_answer_correct"]:
            counts["agree"] += 1
        else:
            counts[str(verdict) if str(verdict) in counts else "undecided"] += 1
            print(f"{row['id']}: {answer!r} against {gold!r} is {verdict}, labelled {row['final_answer_correct']}")
    return f"| {name} | " + " | ".join(str(count) for count in counts.values()) + " |"


if __name__ == "__main__":
    main()
