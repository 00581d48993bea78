"""What `final_line` finds in solutions as people and models write them: one line of JSON per set.

    STEPROUTE_DATA=... python benchmarks/answer_rules.py [--limit N]

GSM8K: how many reference solutions state their gold answer. ProcessBench, whose boxes are removed first: how many
solutions state an answer, how many of the last steps that speak of an answer do, and how many state one before their
last step. limit: of solutions per set.
"""

import argparse
import asyncio
import json
import re
from itertools import islice

import msgspec

from steproute.core.answer_rule import FINAL_LINE
from steproute.core.final_line import final_line
from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.solution import Meter
from steproute.evaluation.datasets import data_file, read_rows
from steproute.grading.numeric import NumericGrader

BOX = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
SPEAKS = re.compile("answer", re.IGNORECASE)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int)
    limit = parser.parse_args().limit
    for split in ("test", "train"):
        print(json.dumps(asyncio.run(references(f"gsm8k/{split}.jsonl.gz", limit))))
    for name in ("gsm8k", "math", "olympiadbench"):
        print(json.dumps(written(f"processbench/{name}.jsonl.gz", limit)))


async def references(name: str, limit: int | None) -> dict[str, object]:
    """GSM8K's own solutions, by the numeric grader."""
    grader, right, rows = NumericGrader(), 0, list(islice(read_rows(data_file(name)), limit))
    for _, row in rows:
        problem = Problem.ask(id="p", text="?", answer=str(row["answer"]), rule=FINAL_LINE)
        answer = final_line(str(row["solution"]))
        right += (await grader.grade(problem, answer, "", Meter())).verdict is Verdict.CORRECT
    return {"set": name, "solutions": len(rows), "right": right}


def written(name: str, limit: int | None) -> dict[str, object]:
    """Solutions that models wrote."""
    counts = dict.fromkeys(("solutions", "stated", "last_speaks", "last_states", "stated_before_last"), 0)
    for _, row in islice(read_rows(data_file(name)), limit):
        steps = [BOX.sub(r"\1", step) for step in msgspec.convert(row["steps"], list[str])]
        counts["solutions"] += 1
        counts["stated"] += final_line("\n\n".join(steps)) is not None
        if SPEAKS.search(steps[-1]):
            counts["last_speaks"] += 1
            counts["last_states"] += final_line(steps[-1]) is not None
        prefixes = ("\n\n".join(steps[:count]) for count in range(1, len(steps)))
        counts["stated_before_last"] += any(final_line(prefix) is not None for prefix in prefixes)
    return {"set": name, **counts}


if __name__ == "__main__":
    main()
