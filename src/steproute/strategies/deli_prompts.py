"""What DELI asks its model, as questions of their own with the problem's id and answer."""

from dataclasses import replace

from steproute.core.problem import Problem
from steproute.tools.actions.toolbox import EXAMPLES

_TOOLS = "\n".join(f"- {example}" for example in EXAMPLES)


def next_action(problem: Problem, trial: str, transcript: str) -> Problem:
    """Asks for the next action, or the final answer."""
    return _asking(
        problem,
        "Solve the question by calling one tool at a time. The trial below may hold errors; use what is correct in "
        f"it.\nTools, each with an example:\n{_TOOLS}\nWrite one line `Action: CALL`, and nothing after it. Once the "
        f"outputs give the answer, write `Final Answer:` and the answer {problem.rule.form} instead.",
        f"Trial:\n{trial}\n\nSo far:\n{transcript or 'nothing'}",
    )


def output_of(problem: Problem, transcript: str, action: str) -> Problem:
    """Asks for the output of an action that no tool could carry out."""
    return _asking(
        problem,
        "No tool could carry out the last action. Write its output in one line, and nothing else.",
        f"{transcript}\nAction: {action}\nOutput:",
    )


def revision(problem: Problem, words: str, transcript: str) -> Problem:
    """Asks for the solution in words, corrected by what the tools gave."""
    return _asking(
        problem,
        "Correct the solution of the question below. The verification was calculated by tools: where numbers differ, "
        f"those of the verification count. Write the whole solution, and the final answer {problem.rule.form}.",
        f"Solution:\n{words}\n\nVerification:\n{transcript}",
    )


def _asking(problem: Problem, task: str, material: str) -> Problem:
    question = {"role": "user", "content": f"{task}\n\nQuestion:\n{problem.text}\n\n{material}"}
    return replace(problem, messages=(question,), tools=())
