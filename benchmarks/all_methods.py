"""All methods that run on the lab in one table, under one account, and the sign of each step router's signal.

    python benchmarks/all_methods.py train
    python benchmarks/all_methods.py compare --problems 300
    python benchmarks/all_methods.py table
    python benchmarks/all_methods.py signals --problems 300

`train` trains the policies that are not shipped, those that are missing. `compare` is one `steproute compare`, which it
prints; a rerun resumes, and with more problems it solves only what is missing. `table` prints its comparison.json as
Markdown. `signals` says for each step router whether a higher signal goes with a correct step.
"""

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import spearmanr

from steproute.config import lab_roles
from steproute.core.solution import Draft
from steproute.engine.episode import Episode
from steproute.evaluation.auc import roc_auc, roc_auc_interval
from steproute.evaluation.datasets import load_problems
from steproute.lab.checking_scorer import CHECKER
from steproute.policies.baselines.triggers import sure_share
from steproute.policies.steer import SteerFamily
from steproute.policies.stored import load_policy

STEPROUTE: Final = str(Path(sys.executable).with_name("steproute"))
TRAINED: Final = {
    "pomdp": "--policy pomdp --problems 2000",
    "pomdp-three": "--policy pomdp --roles weak,mid,strong --problems 2000",
    "seq": "--policy seq --problems 800",
    "agg-three": "--policy agg --roles weak,mid,strong --problems 800",
    "advantage": "--policy advantage --label rollouts --problems 300",
    "steer": "--policy steer --problems 200",
    "query-sw": "--policy query-sw --problems 1000",
    "second-chances": "--policy rungs --roles weak,resample,mid,strong --width 2 --problems 400",
}
SCORES: Final = "@0/0.2/0.4/0.6/0.8/0.9/0.95/1"
SHARES: Final = "@0/0.2/0.4/0.6/0.8/0.9/1"
PROBABILITIES: Final = "@0/0.7/0.8/0.85/0.9/0.93/0.95/0.97/0.99/1"
NATS: Final = "@10/0.1/0.01/0.001/0.0004/0.0002/0.0001/0"
LAMBDAS: Final = "@7.862e-06/6.649e-05/0.0001934/0.0005623/0.001635/0.004756/0.01383/0.02359"
RANKS: Final = "@1/4/7/10/13/16/18/20"
GRIDS: Final = {
    "threshold": ("TRIM-Thr", SCORES),
    "random": ("random, per step", ""),
    "query:random": ("random, per problem", ""),
    "single:mid": ("the mid-size model alone", ""),
    "confidence": ("confidence", PROBABILITIES),
    "first-token-entropy": ("first-token entropy", NATS),
    "lab-agg": ("TRIM-Agg", LAMBDAS),
    "{runs}/seq": ("TRIM-Seq", LAMBDAS),
    "{runs}/pomdp": ("TRIM-POMDP", RANKS),
    "ladder": ("TRIM-Thr, three models", SCORES),
    "{runs}/agg-three": ("TRIM-Agg, three models", LAMBDAS),
    "{runs}/pomdp-three": ("TRIM-POMDP, three models", RANKS),
    "second-chances:ladder": ("second chances, three models", SCORES),
    "second-chances:{runs}/second-chances": ("second chances, fitted tables", ""),
    "rsd": ("RSD", "@0/0.2/0.4/0.6/0.8/1/1.5/3/5"),
    "{runs}/advantage": ("Arbitrage", "@0/0.004/0.005/0.007/0.01/0.03/0.07/0.2/0.35/1"),
    "arbitrage-oracle:threshold": ("Arbitrage's oracle by the PRM", SCORES),
    "specreason:threshold": ("SpecReason", SCORES),
    "pipelined:threshold": ("TRIM-Thr, speculative drafting", SCORES),
    "primed(first_steps=1):trigreason": ("TrigReason, 1 step primed", "@1/0.97/0.93/0.9/0.85/0.8/0.7/0.5/0"),
    "glimpse:first-token-entropy": ("GlimpRouter", NATS),
    "next-step:{runs}/steer": ("STEER", "@0/0.1/0.3/0.5/0.7/0.85/0.93/0.97/0.99/0.999/1"),
    "cascade:threshold": ("cascade", SCORES),
    "automix:threshold": ("AutoMix", SHARES),
    "automix-prm:threshold": ("AutoMix-PRM", SCORES),
    "query:{runs}/query-sw": ("query routing", "@0/0.47/0.475/0.48/0.485/0.49/1"),
    "best-of-n:threshold": ("best of 4 per step, then TRIM-Thr", SCORES),
    "pats:modes": ("PATS, the weak model alone", ""),
    "beam:threshold": ("beam, then TRIM-Thr", SCORES),
    "vote:threshold": ("vote of 8, then the strong model", SHARES),
    "oracle": ("oracle (knows the checker)", ""),
}
"""Each series, its name in the table, and its knobs: those of its policy's own grid if there are none."""
AXES: Final = ("usd", "tokens", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("train", "compare", "table", "signals"))
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--methods", default="", help="some of the policies, separated by semicolons")
    asked = parser.parse_args()
    match asked.action:
        case "train":
            train(asked.runs)
        case "compare":
            compare(asked)
        case "table":
            names = {series.format(runs=asked.runs): name for series, (name, _) in GRIDS.items()}
            for line in table(json.loads(Path(asked.runs, "methods", "comparison.json").read_text()), names):
                print(line)
        case "signals":
            steps = asyncio.run(weak_steps(asked.problems, asked.seed))
            for line in signals(steps, Path(asked.runs) / "steer", asked.seed):
                print(line)


def train(runs: str) -> None:
    for name, words in TRAINED.items():
        if not Path(runs, name, "policy.json").exists():
            _run("train", *words.split(), "--out", f"{runs}/{name}", "--tree", f"{runs}/tree-{name}.jsonl.zst")


def compare(asked: argparse.Namespace) -> None:
    every = [f"{series.format(runs=asked.runs)}{knobs}" for series, (_, knobs) in GRIDS.items()]
    chosen = asked.methods.split(";") if asked.methods else every
    words = ["--data", "lab:test", "--problems", str(asked.problems), "--seed", str(asked.seed)]
    words += ["--resamples", str(asked.resamples), "--runs", asked.runs, "--name", "methods"]
    _run("compare", "--policies", ",".join(chosen), *words)


def _run(*words: str) -> None:
    print(f"steproute {shlex.join(words)}", flush=True)
    subprocess.run([STEPROUTE, *words], check=True)


def table(comparison: dict[str, Any], names: dict[str, str]) -> Iterator[str]:
    """Markdown: APGR and CPT(95 %) by each kind of cost, ΔIBC, seconds at 90 % of the gap, and p against the first."""
    first = comparison["rows"][0]["name"]
    pairs = {
        (pair["second"], pair["axis"]): pair
        for pair in comparison["pairs"]
        if pair["first"] == first and pair["metric"] == "apgr"
    }
    yield "| method | APGR: $ | tokens | seconds | p against TRIM-Thr: $, tokens, seconds | CPT(95 %): $ | tokens |" + (
        " seconds | ΔIBC: $ | s per problem at 90 % of the gap |"
    )
    yield "|---" * 10 + "|"
    for row in sorted(comparison["rows"], key=lambda row: -row["metrics"]["usd"]["apgr"]):
        apgr = [_with_ends(row["metrics"][axis], "apgr") for axis in AXES]
        p_values = [_p(pairs.get((row["name"], axis)), comparison["least_p"]) for axis in AXES]
        cpt = [_percent(row["metrics"][axis]["cpt95"]) for axis in AXES]
        ibc = row["metrics"]["usd"]["delta_ibc"]
        seconds = "–" if row["seconds"] is None else f"{row['seconds']:.2f}"
        name = names.get(row["name"], row["name"])
        cells = (name, *apgr, ", ".join(p_values), *cpt, "–" if ibc is None else f"{ibc:.2f}", seconds)
        yield f"| {' | '.join(cells)} |"


def _with_ends(metrics: dict[str, Any], name: str) -> str:
    low, high = metrics[f"{name}_ci95"]
    return f"{metrics[name]:.3f} [{low:.3f}, {high:.3f}]"


def _percent(value: float | None) -> str:
    return "not reached" if value is None else f"{100 * value:.1f} %"


def _p(pair: dict[str, Any] | None, least: float) -> str:
    """The corrected p with a sign: + if the method is ahead of the first one, − if it is behind."""
    if pair is None or pair["p_holm"] is None:
        return "–"
    at_floor = "< " if pair["p"] <= 1.001 * least else ""
    sign = "+" if pair["better"] == pair["second"] else "−"
    return f"{sign}{at_floor}{pair['p_holm']:.2g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakStep:
    """A weak step on a correct prefix: the problem, the draft, whether it is correct, and what scorers say of it."""

    problem_id: str
    draft: Draft
    correct: bool
    prm: float
    grade: float


@dataclass(slots=True)
class _Collecting:
    """The weak model writes until its first incorrect step."""

    steps: list[WeakStep] = field(default_factory=list)

    async def solve(self, episode: Episode) -> None:
        prefix = episode.start()
        while not prefix.finished:
            draft = await episode.propose("weak", prefix)
            prm, grade, correct = [await episode.score(prefix, draft, judge) for judge in ("prm", "strong", CHECKER)]
            assert prm
            assert grade
            assert correct
            newest = WeakStep(
                problem_id=episode.problem.id, draft=draft, correct=correct[-1] == 1, prm=prm[-1], grade=grade[-1]
            )
            self.steps.append(newest)
            if not newest.correct:
                await episode.accept(draft)
                return
            prefix = await episode.accept(draft)


async def weak_steps(problems: int, seed: int) -> list[WeakStep]:
    roles, collecting = lab_roles(), _Collecting()
    episodes = [
        Episode(problem, roles, route="signals", seed=seed) for problem in load_problems("lab:test", problems, seed)
    ]
    await asyncio.gather(*(episode.run(collecting) for episode in episodes))
    return collecting.steps


def signals(steps: Sequence[WeakStep], steer: Path, seed: int) -> Iterator[str]:
    """Markdown: Spearman's ρ of each signal with correctness, and the AUC of its direction that a router assumes."""
    family = load_policy(steer)
    assert isinstance(family, SteerFamily)
    correct, groups = [step.correct for step in steps], [step.problem_id for step in steps]
    logprobs = [step.draft.logprobs or () for step in steps]
    means = [sum(each) / len(each) for each in logprobs]
    assumed: dict[str, tuple[list[float], int]] = {
        "PRM score (TRIM, RSD)": ([step.prm for step in steps], 1),
        "the strong model's grade (SpecReason)": ([step.grade for step in steps], 1),
        "mean token probability (confidence)": ([exp(each) for each in means], 1),
        "P(sure component) (STEER)": ([family.mixture.sure(each) for each in means], 1),
        "first-token entropy (GlimpRouter)": ([step.draft.first_token_entropy or 0.0 for step in steps], -1),
        "share of sure tokens (TrigReason)": ([sure_share(each) for each in logprobs], -1),
    }
    yield f"{len(steps)} weak steps on correct prefixes, {sum(correct)} of them correct."
    yield "| signal | a correct step has, says its paper | ρ with correctness | AUC in that direction [95 %] |"
    yield "|---|---|---|---|"
    for name, (values, sign) in assumed.items():
        signed = sign * np.array(values)
        low, high = roc_auc_interval(signed, correct, groups, np.random.default_rng(seed)).ends
        rho = float(spearmanr(values, correct).statistic)
        auc = f"{roc_auc(signed, correct):.3f} [{low:.3f}, {high:.3f}]"
        yield f"| {name} | {'more' if sign > 0 else 'less'} | {rho:+.3f} | {auc} |"


if __name__ == "__main__":
    main()
