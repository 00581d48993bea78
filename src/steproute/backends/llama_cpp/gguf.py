"""A GGUF file in memory, computed by llama.cpp: its tokens, its chat template, and what it has read so far."""

import ctypes
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, takewhile
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.backends.chat_template import ChatTemplate
from steproute.backends.draw import F32
from steproute.core.errors import BackendError, ConfigError
from steproute.core.solution import Meter
from steproute.core.usage import Usage

Chunks = tuple[tuple[int, ...], ...]
"""Tokens of a prompt and of each step after it."""

_MAGIC: Final = b"GGUF"
_WORD: Final = "A"


class Interrupted(Exception):
    """Nobody wants the call's result any more."""


@dataclass(slots=True)
class Call:
    """A call under way; `meter` follows what it uses, `draft` what its newest draft uses."""

    meter: Meter
    draft: Usage = field(default_factory=Usage)
    cancelled: bool = False

    def use(self, usage: Usage) -> None:
        """Count tokens on both."""
        self.draft = self.draft + usage
        self.meter.usage = self.meter.usage + usage


@dataclass(slots=True)
class _Cached:
    """What was read for a session: the chunks, the logits after the last of them and, while another session is in the
    context, the copy of the keys and values."""

    chunks: Chunks = ()
    logits: F32 | None = None
    state: Any = None


class Gguf:
    """Not safe to use from two threads at a time.

    A chunk is read in one piece and only whole chunks are read from the cache; tokens that were written are never kept,
    but read again as the step that they became. For llama.cpp's numbers depend on how tokens are cut into batches, so
    that anything else would make a draft depend on what ran before it.

    template: the file's chat template, None if it has none. Raises ConfigError for a file that is missing or no
    GGUF, and if llama-cpp-python is not installed.
    """

    def __init__(self, path: str, *, n_ctx: int, threads: int, gpu_layers: int, sessions: int) -> None:
        _check(Path(path))
        self._api = llama_cpp = _package()
        threads = threads or max(1, (os.cpu_count() or 1) // 2)
        try:
            self._llama = llama_cpp.Llama(
                path, n_ctx=n_ctx, n_threads=threads, n_threads_batch=threads, n_gpu_layers=gpu_layers, verbose=False
            )
        except ValueError as failure:
            raise ConfigError(
                f"llama.cpp cannot load {path} with a context of {n_ctx} ({failure}).", where="path"
            ) from None
        self._memory = llama_cpp.llama_get_memory(self._llama.ctx)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._llama.model)
        self._adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(self._vocabulary))
        self._size = self._llama.n_vocab()
        self.template = self._chat_template(Path(path))
        self._limit, self._current = sessions, ""
        self._sessions: OrderedDict[str, _Cached] = OrderedDict({"": _Cached()})

    @property
    def n_ctx(self) -> int:
        """How many tokens the context holds."""
        return int(self._llama.n_ctx())

    def chunks(self, texts: Sequence[str]) -> Chunks:
        """Tokens of consecutive texts, which depend on nothing else; texts that share a token are joined."""
        heads = [self._tokens(head) for head in accumulate(texts)]
        whole = heads[-1]
        ends = [len(head) for head in heads if whole[: len(head)] == head]
        return tuple(tuple(whole[start:end]) for start, end in pairwise([0, *ends]) if start < end)

    def read(self, call: Call, session: str, chunks: Chunks) -> F32:
        """Logits after `chunks`, of which those that the session has read are not computed again.

        Raises Interrupted, and BackendError if llama.cpp fails.
        """
        cached = self._enter(session)
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(cached.chunks, chunks, strict=False)))
        if cached.chunks != chunks or cached.logits is None:
            known = min(known, len(chunks) - 1)
        self._cut(cached, known)
        call.use(Usage(cache_read_tokens=_length(cached.chunks)))
        for chunk in chunks[len(cached.chunks) :]:
            for start in range(0, len(chunk), self._llama.n_batch):
                part = chunk[start : start + self._llama.n_batch]
                logits = self.compute(call, part)
                call.use(Usage(input_tokens=len(part)))
            cached.chunks, cached.logits = (*cached.chunks, chunk), logits.copy()
        assert cached.logits is not None
        return cached.logits

    def compute(self, call: Call, tokens: Sequence[int]) -> F32:
        """Logits after further tokens, valid until the next ones. Raises Interrupted, BackendError."""
        if call.cancelled:
            raise Interrupted
        ids = (self._api.llama_token * len(tokens))(*tokens)
        if code := self._api.llama_decode(self._llama.ctx, self._api.llama_batch_get_one(ids, len(tokens))):
            self._sessions[self._current] = _Cached()
            raise BackendError(f"llama.cpp failed with code {code} on {len(tokens)} tokens")
        return np.ctypeslib.as_array(self._api.llama_get_logits_ith(self._llama.ctx, -1), shape=(self._size,))

    def ends(self, token: int) -> bool:
        """Whether the answer ends with this token."""
        return bool(self._api.llama_vocab_is_eog(self._vocabulary, token))

    def piece(self, token: int) -> bytes:
        """The token's bytes, which need not be whole characters."""
        return bytes(self._llama.detokenize([token]))

    def _chat_template(self, path: Path) -> ChatTemplate | None:
        if (source := self._llama.metadata.get("tokenizer.chat_template")) is None:
            return None
        ends = {"bos_token": self._llama.token_bos(), "eos_token": self._llama.token_eos()}
        return ChatTemplate(source, {name: self._text(token) for name, token in ends.items()}, path)

    def _tokens(self, text: str) -> list[int]:
        """Tokens as if a word came next: many a tokenizer reads a blank line at the end as another token than one
        before a word, and the model has seen the latter."""
        tokens = self._encoded(text + _WORD)
        if self._llama.detokenize(tokens[-1:]) != _WORD.encode():
            return self._encoded(text)
        return tokens[:-1]

    def _encoded(self, text: str) -> list[int]:
        tokens: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=True)
        bos = self._llama.token_bos()
        return [bos, *tokens] if self._adds_bos and tokens[:1] != [bos] else tokens

    def _text(self, token: int) -> str:
        return str(self._api.llama_vocab_get_text(self._vocabulary, token).decode()) if token >= 0 else ""

    def _enter(self, session: str) -> _Cached:
        """Put the session's keys and values in place of those in the context, which are copied out."""
        if session != self._current:
            self._leave()
            self._api.llama_memory_clear(self._memory, False)
            self._current = session
            cached = self._sessions.setdefault(session, _Cached())
            state, cached.state = cached.state, None
            if state is None or not self._api.llama_state_seq_set_data(self._llama.ctx, state, len(state), 0):
                cached.chunks, cached.logits = (), None
        self._sessions.move_to_end(session)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
        return self._sessions[session]

    def _leave(self) -> None:
        if (cached := self._sessions.get(self._current)) is None or not cached.chunks:
            self._sessions.pop(self._current, None)
            return
        self._cut(cached, len(cached.chunks))
        size = self._api.llama_state_seq_get_size(self._llama.ctx, 0)
        cached.state = (ctypes.c_uint8 * size)()
        self._api.llama_state_seq_get_data(self._llama.ctx, cached.state, size, 0)

    def _cut(self, cached: _Cached, count: int) -> None:
        """Leave the first `count` chunks in the context; none if the model's memory cannot be cut there."""
        if count < len(cached.chunks):
            cached.chunks, cached.logits = cached.chunks[:count], None
        if not self._api.llama_memory_seq_rm(self._memory, 0, _length(cached.chunks), -1):
            self._api.llama_memory_clear(self._memory, False)
            cached.chunks, cached.logits = (), None


def _length(chunks: Chunks) -> int:
    return sum(map(len, chunks))


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as failure:
        raise ConfigError(
            f"{path} cannot be read ({failure.strerror}).", where="path", remedy="Set path to a GGUF file."
        ) from None
    if magic != _MAGIC:
        raise ConfigError(
            f"{path} is no GGUF file.", where="path", remedy="Set path to one, such as a model's …-Q4_K_M.gguf."
        )


def _package() -> Any:
    try:
        import llama_cpp
    except ImportError:
        raise ConfigError(
            "'llama.cpp' needs llama-cpp-python.", where="backend", remedy="Install it: pip install 'steproute[local]'"
        ) from None
    return llama_cpp
