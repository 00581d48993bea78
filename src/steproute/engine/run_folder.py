"""A run's folder: its name, and `run.toml`, which records the run's contents and the settings of its traces."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
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
_NO_CONDITION: Final = ("versions", "holds", "digests")
_DIGEST: Final = 12  # hexadecimal digits
_ROW: Final = 2 * _DIGEST


def checked_name(name: str) -> str:
    """A run's name, which is the name of its folder; raises ConfigError if it is not a plain name."""
    if not _is_plain(name):
        raise ConfigError(
            f"{name[:80]!r} is no plain name.",
            where="name",
            remedy="Begin with a letter or a digit, go on with letters, digits, spaces and . _ + - = @ , "
            f"only, and stay within {_LONGEST_NAME} bytes.",
        )
    return name


def name_of(text: str) -> str:
    """A plain name made from any text."""
    words = re.sub(r"[^A-Za-z0-9.+-]+", "-", text)[: _LONGEST_NAME - len("run-")].strip("-.+")
    return words if _is_plain(words) else f"run-{words}".strip("-")


def _is_plain(name: str) -> bool:
    reserved = name.split(".")[0].strip().lower() in _RESERVED
    return _NAME.fullmatch(name) is not None and len(name.encode()) <= _LONGEST_NAME and not reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The part of a run that one command uses: routes by name, seeds, problems, and the folders of its artefacts."""

    routes: tuple[str, ...]
    seeds: tuple[int, ...]
    problems: Sequence[Problem]
    artifacts: tuple[str, ...] = ()


def claim_folder(folder: Path, conditions: Mapping[str, Any], selection: Selection, *, begun: bool) -> None:
    """Add the selection to the contents in `run.toml`, or refuse one that does not belong to the run.

    conditions: the settings that determine the trace of a problem by a route at a seed, in values that TOML holds. They
    must not change, and neither must the contents of the problems and of the artefacts. A selection may: `run.toml`
    names everything that was ever selected. begun: whether the folder holds traces. Raises ConfigError that names the
    change, and for a `run.toml` that is damaged or missing; ArtifactError for an artefact that cannot be read.
    """
    path = folder / "run.toml"
    now = {**conditions, "holds": _holds(selection), "digests": _digests(selection)}
    if not path.exists():
        if begun:
            raise ConfigError(
                f"run {folder.name!r}: {path} is missing, so its traces may be of other settings.",
                remedy="Restore it, or name another run.",
            )
        write_whole(path, tomli_w.dumps(now).encode())
        return
    before = _read(path)
    change = (
        _changed_condition(before, now)
        or _changed_artifact(before["digests"]["artifacts"], now["digests"]["artifacts"])
        or _changed_problems(before["digests"]["problems"], selection.problems)
    )
    if change:
        raise ConfigError(f"run {folder.name!r}: {change}. Resume with the same ones, or name another run.")
    grown = _grown(before, now)
    if grown != before:
        write_whole(path, tomli_w.dumps(grown).encode())


def _holds(selection: Selection) -> dict[str, Any]:
    return {"routes": list(selection.routes), "seeds": list(selection.seeds), "problems": len(selection.problems)}


def _digests(selection: Selection) -> dict[str, Any]:
    """Digests of the files of each artefact's folder, and of each problem's id and of its content."""
    return {
        "artifacts": {folder: artifact_digests(Path(folder)) for folder in selection.artifacts},
        "problems": "".join(_row(problem) for problem in selection.problems),
    }


def _grown(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The earlier contents and the new selection."""
    problems = "".join({**dict.fromkeys(_rows(before)), **dict.fromkeys(_rows(now))})
    holds = {key: list(dict.fromkeys([*before["holds"][key], *now["holds"][key]])) for key in ("routes", "seeds")}
    return {
        **before,
        "holds": {**holds, "problems": len(problems) // _ROW},
        "digests": {
            "artifacts": {**before["digests"]["artifacts"], **now["digests"]["artifacts"]},
            "problems": problems,
        },
    }


class _Digests(msgspec.Struct):
    artifacts: dict[str, dict[str, str]]
    problems: str


class _Holds(msgspec.Struct):
    routes: list[str]
    seeds: list[int]
    problems: int


class _RunFile(msgspec.Struct):
    """The part of `run.toml` that is read here."""

    holds: _Holds
    digests: _Digests


def run_document(folder: Path) -> dict[str, Any]:
    """The `run.toml` of a run's folder; raises ConfigError if it is missing or damaged."""
    if not (folder / "run.toml").is_file():
        raise ConfigError(
            f"{folder} holds no run.toml.", where="run", remedy="Name the folder of a run of `eval` or `compare`."
        )
    return _read(folder / "run.toml")


def exported_document(name: str, data: str, routes: Sequence[str], problems: int) -> bytes:
    """A `run.toml` for traces that no run has made. It cannot be resumed: it knows no problem by its content."""
    holds = {"routes": list(routes), "seeds": [0], "problems": problems}
    document = {"name": name, "data": data, "holds": holds, "digests": {"artifacts": {}, "problems": ""}}
    return tomli_w.dumps(document).encode()


def recorded_problems(document: Mapping[str, Any], problems: Sequence[Problem]) -> list[Problem]:
    """The problems that a run holds, with an unchanged text and gold answer; document: its `run.toml`."""
    rows = set(_rows(document))
    return [problem for problem in problems if _row(problem) in rows]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_bytes().decode())
        msgspec.convert(document, _RunFile)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise ConfigError(
            f"{path} is damaged ({failure}).", where="run.toml", remedy="Restore it, or name another run."
        ) from None
    except msgspec.ValidationError as failure:
        raise ConfigError(
            f"{path} is incomplete or of an older version ({failure}). Whether the run's policies "
            "and problems have changed is not known.",
            where="run.toml",
            remedy="Name another run.",
        ) from None
    return document


def _changed_condition(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for key in sorted({*before, *now} - set(_NO_CONDITION)):
        if before.get(key) == now.get(key):
            continue
        if key == "config_digest" and before.get(key) and now[key]:
            return "[models] or [scorers] of its steproute.toml have changed since it began"
        if key == "config_digest":
            first, second = ("the lab", "a steproute.toml") if now[key] else ("a steproute.toml", "the lab")
            return f"it began with the models of {first} and is now given those of {second}"
        if key == "lab_digest" and before.get(key) and now.get(key):
            return "the lab's models or its shipped policies have changed since it began"
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            return f"{key}.{_changed_condition(old, new)}"
        more = ". To add a seed to it, leave --seed and use --seeds" if key == "seed" else ""
        return f"{key} was {old!r} and is now {new!r}{more}"
    return ""


def _changed_artifact(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> str:
    for folder in sorted(now.keys() & before.keys()):
        files, old = now[folder], before[folder]
        changed = sorted(name for name in {*files, *old} if files.get(name) != old.get(name))
        if changed:
            verb = "has" if len(changed) == 1 else "have"
            return f"{' and '.join(changed)} of {folder} {verb} changed since it began"
    return ""


def _changed_problems(before: str, problems: Sequence[Problem]) -> str:
    """Known problems by id whose contents have changed; a problem with another id is new."""
    known = {row[:_DIGEST]: row for row in _split(before)}
    rows = [_row(problem) for problem in problems]
    changed = [problem.id for problem, row in zip(problems, rows, strict=True) if known.get(row[:_DIGEST], row) != row]
    if not changed:
        return ""
    verb = "has" if len(changed) == 1 else "have"
    return f"{len(changed)} of its {len(known)} problems {verb} changed since it began, first {changed[0]!r}"


def _rows(document: Mapping[str, Any]) -> list[str]:
    return _split(document["digests"]["problems"])


def _split(digests: str) -> list[str]:
    return [digests[start : start + _ROW] for start in range(0, len(digests), _ROW)]


def _row(problem: Problem) -> str:
    return _digest([problem.id]) + _digest([problem.id, problem.canonical, problem.answer])


def _digest(content: list[str | None]) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=_DIGEST // 2).hexdigest()
