"""`POST /v1/completions`: the older API, whose prompt is one turn of the user."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.serve.body import read_object, typed
from steproute.serve.chat import replied
from steproute.serve.chat_request import Overrides, StreamOptions
from steproute.serve.errors import refused_field
from steproute.serve.face import DONE, Json, SseEvent, chat_of, check_known, given, sse

_PATH = "/v1/completions"


class CompletionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request of the older API. prompt: one text; it is asked as a turn of the user, not continued as raw text."""

    model: str
    prompt: str | list[str]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None
    steproute: Overrides | None = None


async def completions(request: Request) -> Response:
    """Answer a prompt."""
    fields = read_object(await request.body())
    check_known(fields, CompletionRequest.__struct_fields__, _PATH)
    chat = chat_of(_chat_fields(typed(fields, CompletionRequest), fields), CompletionFace.names)
    return await replied(request, chat, CompletionFace())


def _chat_fields(asked: CompletionRequest, fields: Json) -> dict[str, Any]:
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    if len(prompts) != 1:
        raise refused_field("prompt", f"{len(prompts)} prompts; one is answered per request.")
    if asked.best_of not in (None, 1):
        raise refused_field("best_of", "one answer is given to each request.")
    if asked.echo:
        raise refused_field("echo", "the prompt is not sent back.")
    same = ("model", "stream", "stream_options", "max_tokens", "temperature", "top_p", "n", "stop", "seed", "user")
    return {
        **given(**{name: fields.get(name) for name in (*same, "steproute")}),
        "messages": [{"role": "user", "content": prompts[0]}],
    }


class CompletionFace:
    """Completions of text."""

    names: Mapping[str, str] = {"messages": "prompt"}

    def whole(self, completion: Json) -> Json:
        """The texts alone."""
        return _shaped(completion, "message")

    def events(self, chunk: Json) -> Iterator[SseEvent]:
        """A piece of text, or what ends it."""
        if "error" in chunk:
            yield sse(chunk)
        elif chunk.get("usage") or "steproute" in chunk or any(map(_says, chunk["choices"])):
            yield sse(_shaped(chunk, "delta"))

    def end(self) -> Iterator[SseEvent]:
        """The word that there is nothing more."""
        yield DONE


def _says(choice: Json) -> bool:
    return bool(_text(choice["delta"]) or choice["finish_reason"])


def _text(message: Json) -> str:
    return "".join(message.get(name) or "" for name in ("content", "refusal"))


def _shaped(completion: Json, said: str) -> dict[str, Any]:
    choices = [
        {
            "index": each["index"],
            "text": _text(each[said]),
            "finish_reason": each["finish_reason"],
            "logprobs": None,
        }
        for each in completion["choices"]
    ]
    return {
        **completion,
        "id": completion["id"].replace("chatcmpl-", "cmpl-"),
        "object": "text_completion",
        "choices": choices,
    }
