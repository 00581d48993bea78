"""A run's folder: its name, and `run.toml`, which holds the settings of its traces and digests of what made them."""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import tomli_w

from steproute.artifacts import artifact_digests
from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.core.whole_file import write_whole

_NAME: Final = re.compile(r"\w(?:[\w .+=@,-]*[\w+=@,-])?")
_LONGEST_NAME: Final = 200
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
_NOT_COMPARED: Final = ("in_flight", "versions", "digests")
_ROW_BYTES: Final = 6


def checked_name(name: str) -> str:
    """A run's name, which is the name of its folder; raises ConfigError for one that is no plain name."""
    if not _is_plain(name):
        raise ConfigError(
            f"name: {name[:80]!r} is no plain name. Begin with a letter or a digit, go on with letters, digits, spaces "
            f"and . _ + - = @ , only, and stay within {_LONGEST_NAME} bytes."
        )
    return name


def name_of(text: str) -> str:
    """A plain name made of any text."""
    words = re.sub(r"[^A-Za-z0-9.+-]+", "-", text)[: _LONGEST_NAME - len("run-")].strip("-.+")
    return words if _is_plain(words) else f"run-{words}".strip("-")


def _is_plain(name: str) -> bool:
    reserved = name.split(".")[0].strip().lower() in _RESERVED
    return _NAME.fullmatch(name) is not None and len(name.encode()) <= _LONGEST_NAME and not reserved


def digests(artifacts: Iterable[str], problems: Sequence[Problem]) -> dict[str, Any]:
    """Digests of the files of each artefact's folder, and of each problem's id, text and answer.

    Raises ArtifactError for an artefact that cannot be read.
    """
    return {
        "artifacts": {folder: artifact_digests(Path(folder)) for folder in artifacts},
        "problems": "".join(_row(problem) for problem in problems),
    }


def claim_folder(
    folder: Path, settings: Mapping[str, Any], digests: Mapping[str, Any], problems: Sequence[Problem], *, begun: bool
) -> None:
    """Write `run.toml`, or check that the run that is there has the same settings, artefacts and problems.

    settings: values that TOML holds; digests: of `problems` and of the artefacts; begun: whether the folder holds
    traces. Raises ConfigError that says what has changed, and for a `run.toml` that is damaged or missing.
    """
    path = folder / "run.toml"
    if not path.exists():
        if begun:
            raise ConfigError(
                f"run {folder.name!r}: {path} is missing, so its traces may be of other settings. Restore it, or name "
                "another run."
            )
        write_whole(path, tomli_w.dumps({**settings, "digests": digests}).encode())
        return
    before = _read(path)
    change = (
        _changed_setting(before, settings)
        or _changed_artifact(before["digests"]["artifacts"], digests["artifacts"])
        or _changed_problems(before["digests"]["problems"], problems)
    )
    if change:
        raise ConfigError(f"run {folder.name!r}: {change}. Resume with the same ones, or name another run.")


def run_document(folder: Path) -> dict[str, Any]:
    """The `run.toml` of a run's folder; raises ConfigError if it is missing or damaged."""
    if not (folder / "run.toml").is_file():
        raise ConfigError(f"run: {folder} holds no run.toml. Name the folder of a run of `eval` or `compare`.")
    return _read(folder / "run.toml")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise ConfigError(f"run.toml: {path} is damaged ({failure}). Restore it, or name another run.") from None
    kept = document.get("digests")
    sound = isinstance(kept, dict) and isinstance(kept.get("artifacts"), dict) and isinstance(kept.get("problems"), str)
    if not sound:
        raise ConfigError(
            f"run.toml: {path} holds no digests of the run's policies and problems, since it is incomplete or of an "
            "older version. Whether they have changed is not known. Name another run."
        )
    return document


def _changed_setting(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for key in sorted({*before, *now} - set(_NOT_COMPARED)):
        if before.get(key) == now.get(key):
            continue
        if key == "config_digest" and before.get(key) and now[key]:
            return "[models] or [scorers] of its steproute.toml have changed since it began"
        if key == "config_digest":
            began, given = ("the lab", "a steproute.toml") if now[key] else ("a steproute.toml", "the lab")
            return f"it began with the models of {began} and is now given those of {given}"
        if key == "lab_digest" and before.get(key) and now.get(key):
            return "the lab's models or its shipped policies have changed since it began"
        return f"{key} was {before.get(key)!r} and is now {now.get(key)!r}"
    return ""


def _changed_artifact(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> str:
    for folder, files in now.items():
        old = before.get(folder, {})
        changed = sorted(name for name in {*files, *old} if files.get(name) != old.get(name))
        if changed:
            verb = "has" if len(changed) == 1 else "have"
            return f"{' and '.join(changed)} of {folder} {verb} changed since it began"
    return ""


def _changed_problems(before: str, problems: Sequence[Problem]) -> str:
    width = 2 * _ROW_BYTES
    rows = [before[at : at + width] for at in range(0, len(before), width)]
    now = [_row(problem) for problem in problems]
    known = set(rows)
    changed = [problem.id for problem, row in zip(problems, now, strict=True) if row not in known]
    if changed:
        return f"{len(changed)} of its {len(now)} problems have changed since it began, first {changed[0]!r}"
    if len(rows) != len(now):
        return f"it began with {len(rows)} problems and is now given {len(now)}"
    return "" if rows == now else "its problems are in another order than when it began"


def _row(problem: Problem) -> str:
    content = json.dumps([problem.id, problem.text, problem.answer])
    return hashlib.blake2b(content.encode(), digest_size=_ROW_BYTES).hexdigest()
