import json
import os
from typing import Any

import openai
from langchain_openai import ChatOpenAI

given = json.loads(os.environ["GIVEN"])


def model(**settings: Any) -> ChatOpenAI:
    names = {"maxRetries": "max_retries", "timeout": "timeout"}
    chosen = {names[name]: value / 1000 if name == "timeout" else value for name, value in given["settings"].items()}
    return ChatOpenAI(model=given["model"], base_url=given["v1"], api_key=given["key"], **chosen, **settings)


def fields() -> dict[str, Any]:
    return {"extra_body": given["fields"]} if given["fields"] else {}


def chat() -> dict[str, Any]:
    reply = model(**fields()).invoke(given["text"])
    return {"text": reply.content, "outcome": "answered" if reply.usage_metadata else None}


def stream() -> dict[str, Any]:
    chunks = list(model(**fields(), stream_usage=True).stream(given["text"]))
    return {
        "pieces": [chunk.content for chunk in chunks if chunk.content],
        "tokens": max(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata),
    }


def tool() -> dict[str, Any]:
    bound = model().bind_tools([{"type": "function", "function": given["tool"]}])
    whole = None
    for chunk in bound.stream(given["text"]):
        whole = chunk if whole is None else whole + chunk
    (call,) = whole.tool_calls
    return {"name": call["name"], "arguments": call["args"]}


def responses() -> dict[str, Any]:
    chunks = list(model(**fields(), use_responses_api=True).stream(given["text"]))
    return {"text": "".join(part["text"] for chunk in chunks for part in chunk.content if part.get("text"))}


def leave() -> dict[str, Any]:
    for chunk in model().stream(given["text"]):
        if chunk.content:
            return {"text": chunk.content}
    return {}


try:
    report = {"chat": chat, "stream": stream, "tool": tool, "responses": responses, "leave": leave}[given["action"]]()
except openai.APIError as failure:
    report = {
        "error": type(failure).__name__,
        "status": getattr(failure, "status_code", None),
        "code": failure.code,
    }
print(json.dumps(report))
