"""The body of a request: JSON, and the type that it has to have."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from steproute.serve.chat_request import invalid
from steproute.serve.errors import ApiError

_T = TypeVar("_T")


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises ApiError if it is none."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise ApiError(400, f"The body is no JSON: {failure}") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "The body is no JSON object.")
    return fields


def typed(fields: Mapping[str, Any], kind: type[_T]) -> _T:
    """The fields as `kind`; null is as good as absent. Raises ApiError that names the first field that is wrong."""
    try:
        return msgspec.convert({name: value for name, value in fields.items() if value is not None}, kind)
    except msgspec.ValidationError as failure:
        raise invalid(failure) from None
