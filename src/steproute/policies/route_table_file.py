"""Route tables on disk: the features of texts in the table's folder, and each route in a folder of its own below it.

Adding a route writes its folder and changes no other byte. A joint table is one artefact without parts.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.artifacts import (
    FACTS,
    PARTS,
    Artifact,
    UnsoundArtifact,
    read_artifact,
    read_parts,
    sound_arrays,
    sound_choice,
    sound_number,
    write_artifact,
)
from steproute.core.arrays import F64
from steproute.core.errors import ConfigError, StorageError
from steproute.policies.query import TfIdf
from steproute.policies.routes import (
    COSTS,
    JointNetwork,
    JointTable,
    Readout,
    RouteFamily,
    RoutePredictor,
    RouteTable,
    SeparateTable,
)

ROUTE_TABLE: Final = "route-table"
ROUTE: Final = "route"
SEPARATE: Final = "separate"
JOINT: Final = "joint"
_NETWORKS: Final = tuple(each.name for each in fields(JointNetwork))
_LONGEST_SLUG: Final = 60


def write_table(family: RouteFamily, facts: Mapping[str, Any], folder: Path) -> None:
    """Write a table in the place of whatever table the folder holds; `facts` say what it was trained on.

    The table's own files come last, so a write that was killed leaves a folder that is refused. Raises StorageError.
    """
    try:
        (folder / FACTS).unlink(missing_ok=True)
        shutil.rmtree(folder / PARTS, ignore_errors=True)
    except OSError as failure:
        raise StorageError.of(folder, failure) from None
    table = family.table
    if isinstance(table, SeparateTable):
        for predictor in table.predictors:
            write_route(predictor, table.text, {}, folder)
    write_artifact(_table_artifact(family, facts), folder)


def write_route(predictor: RoutePredictor, text: TfIdf, facts: Mapping[str, Any], folder: Path) -> None:
    """Write one route of a table into the table's folder. Raises StorageError."""
    made = {**facts, "route": predictor.route, "features": _features_digest(text)}
    artifact = Artifact(
        kind=ROUTE, arrays={"weights": predictor.weights, **_readout_arrays(predictor.readout)}, facts=made
    )
    write_artifact(artifact, folder / PARTS / _slug(predictor.route))


def read_table(folder: Path) -> RouteFamily:
    """The table in a folder; raises ArtifactError for a damaged one, ConfigError for another kind of artefact."""
    artifact = read_artifact(folder)
    if artifact.kind != ROUTE_TABLE:
        raise ConfigError(
            f"{folder} is of kind {artifact.kind!r}.",
            where="policy",
            remedy="Name a folder of `train --policy routes`.",
        )
    return family_of_table(with_parts(artifact, folder))


def with_parts(artifact: Artifact, folder: Path) -> Artifact:
    """A table as one artefact, whole, with the arrays and the names of its routes; of other kinds the artefact."""
    if artifact.kind != ROUTE_TABLE or artifact.facts.get("predictor") != SEPARATE:
        return artifact
    parts = read_parts(folder)
    digest = _features_digest(_text(artifact))
    for part in parts:
        if part.kind != ROUTE or part.facts.get("features") != digest:
            raise UnsoundArtifact(f"{folder / PARTS} holds {part.facts.get('route')!r}, which is of another table")
    arrays = {f"{i}.{name}": array for i, part in enumerate(parts) for name, array in part.arrays.items()}
    routes = [part.facts.get("route") for part in parts]
    return Artifact(kind=ROUTE_TABLE, arrays={**artifact.arrays, **arrays}, facts={**artifact.facts, "routes": routes})


def family_of_table(artifact: Artifact) -> RouteFamily:
    """The table of an artefact that is whole. Raises ArtifactError, and KeyError or ConfigError for what is missing."""
    unit = sound_number(artifact.facts, "unit")
    if not unit > 0:
        raise UnsoundArtifact(f"unit: {unit:g} is not above 0")
    return RouteFamily(_table(artifact), unit, sound_choice(artifact.facts, "axis", COSTS))


def _table_artifact(family: RouteFamily, facts: Mapping[str, Any]) -> Artifact:
    table = family.table
    assert isinstance(table, SeparateTable | JointTable)
    made = {**facts, "terms": list(table.text.terms), "unit": family.unit, "axis": family.axis}
    arrays: dict[str, F64] = {"idf": table.text.idf}
    if isinstance(table, SeparateTable):
        return Artifact(kind=ROUTE_TABLE, arrays=arrays, facts={**made, "predictor": SEPARATE})
    for name, network in (("right", table.right), ("costs", table.costs)):
        arrays |= {f"{name}.{each}": getattr(network, each) for each in _NETWORKS}
    for i, readout in enumerate(table.readouts):
        arrays |= {f"{i}.{name}": array for name, array in _readout_arrays(readout).items()}
    return Artifact(kind=ROUTE_TABLE, arrays=arrays, facts={**made, "predictor": JOINT, "routes": list(table.routes)})


def _table(artifact: Artifact) -> RouteTable:
    text, arrays = _text(artifact), sound_arrays(artifact)
    routes = _names(artifact.facts, "routes")
    readouts = [_readout(route, f"{i}.", arrays) for i, route in enumerate(routes)]
    if sound_choice(artifact.facts, "predictor", (SEPARATE, JOINT)) == SEPARATE:
        weights = [arrays[f"{i}.weights"] for i in range(len(routes))]
        predictors = [RoutePredictor(readout=r, weights=w) for r, w in zip(readouts, weights, strict=True)]
        return SeparateTable(text, tuple(predictors))
    right, costs = (
        JointNetwork(**{each: arrays[f"{name}.{each}"] for each in _NETWORKS}) for name in ("right", "costs")
    )
    return JointTable(text=text, right=right, costs=costs, readouts=tuple(readouts))


def _text(artifact: Artifact) -> TfIdf:
    return TfIdf(tuple(_names(artifact.facts, "terms")), sound_arrays(artifact, idf=1)["idf"])


def _readout_arrays(readout: Readout) -> dict[str, F64]:
    return {"logits": readout.logits, "chances": readout.chances, "smearing": readout.smearing}


def _readout(route: str, prefix: str, arrays: Mapping[str, F64]) -> Readout:
    logits, chances, smearing = (arrays[f"{prefix}{name}"] for name in ("logits", "chances", "smearing"))
    return Readout(route=route, logits=logits, chances=chances, smearing=smearing)


def _names(facts: Mapping[str, Any], name: str) -> Sequence[str]:
    names = facts[name]
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise UnsoundArtifact(f"{name}: {names!r:.80} is no list of texts")
    return names


def _features_digest(text: TfIdf) -> str:
    """What a route's weights belong to."""
    digest = hashlib.sha256(json.dumps(text.terms).encode())
    digest.update(np.ascontiguousarray(text.idf, "<f8").tobytes())
    return digest.hexdigest()


def _slug(route: str) -> str:
    """A plain name for a route's folder, with a digest, since different routes may look alike."""
    words = re.sub(r"[^A-Za-z0-9.]+", "-", route).strip("-.")[:_LONGEST_SLUG]
    return f"{words}-{hashlib.sha256(route.encode()).hexdigest()[:8]}"
