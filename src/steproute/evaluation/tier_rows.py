"""Reads rows of TwinRouterBench: the released format with messages, or counts without texts."""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import log1p
from pathlib import Path
from typing import Any, Final

import msgspec

from steproute.core.errors import DatasetError
from steproute.evaluation.tiers import TIERS, TierRow, trajectories

FEATURES: Final = (
    *("prompt_tokens", "last_message_tokens", "last_user_tokens", "step_index", "messages"),
    *("assistant_turns", "tool_turns", "tool_calls", "last_role_is_tool"),
)
"""Of the tail of the prefix and its counts; not the number of steps, which is not known before the run ends."""
_MESSAGE_TOKENS: Final = 4
_PROMPT_TOKENS: Final = 2
_OUTPUT_TOKENS: Final = 500
_CHARACTERS: Final = 4  # per token, since the released rows need a tokenizer for each tier


def read_rows(path: Path, split: str = "") -> tuple[list[TierRow], bool]:
    """The rows of a .jsonl or .jsonl.gz, and whether their tokens are estimates.

    Rows with `messages`, as released, have their tokens estimated at four characters each; a reply's tokens are those
    of the message that the run's next row has, else the mean of the run's known ones, else 500. Rows with
    `prompt_tokens` and `output_tokens` are taken as they are. split: only the rows with this `split`. Raises
    DatasetError that names the line and the field.
    """
    tables = [_decoded(path, number, line) for number, line in enumerate(_lines(path), start=1)]
    tables = [table for table in tables if split in ("", table.get("split"))]
    if not tables:
        raise DatasetError("it holds no rows.", where=path, remedy="Name the question bank of TwinRouterBench.")
    rows = [_row(path, number, table) for number, table in enumerate(tables, start=1)]
    estimated = any("messages" in table and isinstance(table["messages"], list) for table in tables)
    return (_with_replies(rows, tables) if estimated else rows), estimated


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist.", where="data", remedy="Name a .jsonl or a .jsonl.gz.") from None
    except (OSError, EOFError, UnicodeDecodeError) as failure:
        raise DatasetError(f"cannot be read ({failure}).", where=path, remedy="Name a .jsonl or .jsonl.gz.") from None
    return [line for line in text.splitlines() if line.strip()]


def _decoded(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as failure:
        raise DatasetError(f"{failure}.", where=f"{path}, line {number}") from None


def _row(path: Path, number: int, table: Mapping[str, Any]) -> TierRow:
    try:
        numbers = _counted(table["messages"], table) if isinstance(table.get("messages"), list) else table
        values = {**numbers, "last_role_is_tool": numbers["last_role"] == "tool"}
        return TierRow(
            id=str(table["id"]),
            workload=str(table["benchmark"]),
            instance=str(table["instance_id"]),
            step=int(table["step_index"]),
            gold=TIERS.index(table["target_tier"]),
            prompt_tokens=int(numbers["prompt_tokens"]),
            output_tokens=int(numbers["output_tokens"]),
            features=tuple(log1p(float(values[name])) for name in FEATURES),
        )
    except KeyError as failure:
        raise DatasetError(f"{failure} is missing.", where=f"{path}, line {number}") from None
    except (TypeError, ValueError) as failure:
        raise DatasetError(f"{failure}.", where=f"{path}, line {number}") from None


def _counted(messages: Sequence[Mapping[str, Any]], table: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of a row with messages."""
    tokens, roles = [_tokens(each) for each in messages], [each["role"] for each in messages]
    of_user = [count for count, role in zip(tokens, roles, strict=True) if role == "user"]
    return {
        "prompt_tokens": sum(tokens) + _PROMPT_TOKENS,
        "output_tokens": _OUTPUT_TOKENS,
        "last_message_tokens": tokens[-1],
        "last_user_tokens": of_user[-1] if of_user else 0,
        "step_index": table["step_index"],
        "messages": len(messages),
        "assistant_turns": roles.count("assistant"),
        "tool_turns": roles.count("tool"),
        "tool_calls": sum(len(each.get("tool_calls") or ()) for each in messages),
        "last_role": roles[-1],
    }


def _tokens(message: Mapping[str, Any]) -> int:
    content, calls = message.get("content"), message.get("tool_calls")
    text = content if isinstance(content, str) else "".join(_texts(content or ()))
    called = "" if not calls else msgspec.json.encode(calls).decode()
    return -(-len(text + called) // _CHARACTERS) + _MESSAGE_TOKENS


def _texts(blocks: Iterable[Any]) -> Iterable[str]:
    return (block["text"] for block in blocks if isinstance(block, Mapping) and isinstance(block.get("text"), str))


def _with_replies(rows: Sequence[TierRow], tables: Sequence[Mapping[str, Any]]) -> list[TierRow]:
    """The rows with the tokens of their replies, and whether each prefix begins with the one before it."""
    new = list(rows)
    for run in trajectories(rows):
        prefixes = [tables[place]["messages"] for place in run]
        follows = [len(a) < len(b) and a == b[: len(a)] for a, b in pairwise(prefixes)]
        replies: list[int | None] = [
            _tokens(after[len(before)]) - _MESSAGE_TOKENS if fits and rows[b].step == rows[a].step + 1 else None
            for (before, after), (a, b), fits in zip(pairwise(prefixes), pairwise(run), follows, strict=True)
        ]
        known = [reply for reply in replies if reply is not None]
        usual = round(sum(known) / len(known)) if known else _OUTPUT_TOKENS
        for place, reply, fits in zip(run, [*replies, None], [True, *follows], strict=True):
            new[place] = replace(rows[place], output_tokens=usual if reply is None else reply, follows=fits)
    return new
