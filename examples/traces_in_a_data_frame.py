# %% [markdown]
# # The traces of a run in a data frame
#
# Run it cell by cell in an editor that knows `# %%` cells, or as a whole:
# `python examples/traces_in_a_data_frame.py`. It needs `pip install 'steproute[data]'`, and takes a few seconds on the
# bundled lab. It writes into `runs/walk`.

# %% A small run: 30 problems, five thresholds. The same cell again solves nothing anew.
import subprocess

import pandas as pd

from steproute import Run

pd.set_option("display.width", 160, "display.max_columns", 20)
command = ["steproute", "eval", "--problems", "30", "--knobs", "0,0.25,0.5,0.75,1", "--name", "walk", "--json"]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
run = Run.load("runs/walk")
problems, steps, calls = (run.frame(table) for table in ("problems", "steps", "calls"))
print(f"{run.name}: {len(problems)} solutions, {len(steps)} steps, {len(calls)} calls")

# %% Accuracy against cost, one row per threshold. `correct` is missing where a problem failed.
threshold = problems[problems["policy"] == "threshold"]
columns = {"correct": "mean", "cost_usd": "mean", "strong_tokens": "mean", "discarded_tokens": "mean"}
print(threshold.groupby("knob").agg(columns))

# %% Where the money goes at threshold 0.5. Dollars are decimals, so the parts add up to the total exactly.
here = "stepwise/threshold=0.5"
bill = calls[calls["route"] == here].groupby(["role", "purpose"])["cost_usd"].sum()
print(bill)
assert bill.sum() == problems[problems["route"] == here]["cost_usd"].sum()

# %% Does the score tell which steps to write again? Scores of kept and of rejected steps.
scored = steps[steps["route"] == here]
kept = scored[scored["decision"] == "accept"]["score"]
rejected = scored[scored["decision"] == "regenerate"]["rejected_score"]
print(pd.DataFrame({"kept": kept.describe(), "rejected": rejected.describe()}))

# %% The problems that routing repairs: the weak model alone is wrong, and the route is right.
verdicts = problems.pivot(index="problem_id", columns="route", values="correct")
repaired = verdicts.index[~verdicts["single/weak"] & verdicts[here]]
print(f"{len(repaired)} of {(~verdicts['single/weak']).sum()} problems that the weak model gets wrong")

# %% The first of them, step by step: what was rejected, and what the strong model wrote instead.
for step in run.steps:
    if step.problem_id == repaired[0] and step.route == here:
        print(f"{step.step}. {step.role}: {step.text}")
        if step.rejected_text is not None:
            print(f"   instead of: {step.rejected_text} (score {step.rejected_score:.2f})")
