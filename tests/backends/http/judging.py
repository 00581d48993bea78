"""A chat server on loopback that judges steps: a step with the word `wrong` is one, and a token is a word."""

import asyncio
from dataclasses import dataclass
from math import log
from typing import Any

from tests.backends.http.hostile import Asked, Fault, HostileServer

P_YES = {True: 0.9, False: 0.2}


@dataclass
class JudgingServer(HostileServer):
    """Answers what begins with <step> as a judge does, all else as HostileServer.

    words: what it answers to a right and to a wrong step, in place of yes and no or a digit. gives_logprobs: whether it
    obeys `logprobs`.
    """

    words: tuple[str, str] | None = None
    gives_logprobs: bool = True

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if not self.judges(request):
            return await super()._stream(request, writer, reader)
        said = request.body["messages"][0]["content"]
        request.prompt_tokens = len(said.split())
        right = "wrong" not in said.rpartition("<step>")[2].partition("</step>")[0]
        writer.write(b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        event = self._verdict(request, right)
        request.generated = 1
        match request.fault:
            case Fault.TRUNCATED_JSON:
                event = b'data: {"choices": [{"te\n\n'
            case Fault.INVALID_UTF8:
                event = b'data: {"choices": [{"text": "\xff\xfe"}]}\n\n'
        await self._write(writer, event)
        if request.fault is Fault.DUPLICATED_CHUNK:
            await self._write(writer, event)
        elif request.fault not in (None, Fault.WRONG_COUNTS):
            await asyncio.sleep(0.02)
            return self._break_off(writer, request.fault)
        if self.token_s:
            await asyncio.sleep(self.token_s)
        for last in self._ending(request, "stop", None):
            await self._write(writer, last)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def judges(self, request: Asked) -> bool:
        return "<step>" in str(request.body.get("messages", ""))

    def _verdict(self, request: Asked, right: bool) -> bytes:
        asks_alternatives = bool(request.body.get("logprobs"))
        words = self.words or (("Yes", "No") if asks_alternatives else ("8", "1"))
        word = words[0] if right else words[1]
        choice: dict[str, Any] = {"index": 0, "delta": {"content": word}}
        if asks_alternatives and self.gives_logprobs:
            p = P_YES[right]
            given = {"Yes": 0.6 * p, " yes": 0.3 * p, "YES": 0.1 * p, "No": 0.7 * (1 - p), " no": 0.2 * (1 - p)}
            if self.words:
                given = {word: 0.95, "Yes": 0.01, "No": 0.02}
            top = [{"token": token, "logprob": log(share)} for token, share in given.items()]
            choice["logprobs"] = {"content": [{"token": word, "logprob": top[0]["logprob"], "top_logprobs": top}]}
        return self._data({"id": "x", "choices": [choice]})
