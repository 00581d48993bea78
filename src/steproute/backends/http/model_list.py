"""The models that a server lists, in any of the forms that servers have for it."""

from collections.abc import Iterable, Mapping
from typing import Final

_LISTS: Final = ("data", "models", "result", "results", "items", "model_list", "object")
_NAMES: Final = ("id", "name", "model", "key", "model_name")
_ROOM: Final = (
    *("max_model_len", "max_input_tokens", "context_length", "loaded_context_length", "context_window"),
    *("max_context_length", "max_context_window", "inputTokenLimit", "n_ctx", "n_ctx_train"),
)
_WITHIN: Final = ("meta", "top_provider", "limits", "capabilities")


def model_list(document: object) -> dict[str, int | None] | None:
    """Models by name and how many tokens fit each, None if the list does not say; None if there is no list."""
    if isinstance(document, Mapping):
        lists = [document[name] for name in _LISTS if isinstance(document.get(name), list | Mapping)]
        held = [models for models in map(model_list, lists) if models is not None]
        return max(held, key=len, default=None)
    if not isinstance(document, list):
        return None
    listed = {name: _room(each) for each in document if (name := _name(each))}
    return listed if listed or not document else None


def names_of(model: str, listed: Iterable[str]) -> list[str]:
    """The names under which a model is listed: as it is called, or with a prefix or a tag that its server adds."""
    bare = model.removeprefix("models/").removesuffix(":latest")
    return [name for name in listed if name.removeprefix("models/").removesuffix(":latest") == bare]


def _name(listed: object) -> str:
    if isinstance(listed, str):
        return listed
    if not isinstance(listed, Mapping):
        return ""
    return next((name for each in _NAMES if isinstance(name := listed.get(each), str) and name), "")


def _room(listed: object) -> int | None:
    if not isinstance(listed, Mapping):
        return None
    within = [part for each in _WITHIN if isinstance(part := listed.get(each), Mapping)]
    rooms = (part.get(name) for part in (listed, *within) for name in _ROOM)
    return next((room for room in rooms if isinstance(room, int) and not isinstance(room, bool) and room > 0), None)
