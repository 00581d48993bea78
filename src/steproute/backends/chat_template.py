"""A model's chat template, rendered here: out of the folder of its tokenizer, or of a GGUF file."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Never

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from steproute.core.errors import BackendError, ConfigError
from steproute.core.problem import Message

_TEMPLATE_FILE: Final = "chat_template.jinja"
_TOKENIZER_FILE: Final = "tokenizer_config.json"


class ChatTemplate:
    """A template with its model's special tokens, such as `bos_token`; `place` is where it comes from.

    Raises ConfigError for one that is damaged.
    """

    def __init__(self, source: str, tokens: Mapping[str, str], place: Path) -> None:
        self._tokens, self._place = tokens, place
        self._template = _parsed(place, source)

    @classmethod
    def of_folder(cls, folder: Path) -> "ChatTemplate":
        """That of a tokenizer's folder. Raises ConfigError if it holds none, or one that is damaged."""
        if not folder.is_dir():
            raise ConfigError(
                f"there is no folder {folder}.",
                where="template",
                remedy="Set it to a tokenizer's folder, 'server' or 'none'.",
            )
        settings = _tokenizer_settings(folder)
        tokens = {key: _text(value) for key, value in settings.items() if key.endswith("_token") and value}
        return cls(_source(folder, settings), tokens, folder)

    def prompt(self, messages: Sequence[Message], *, begins_with_bos: bool = True, **settings: object) -> str:
        """The messages up to where the answer begins; `settings` are variables of the template.

        begins_with_bos: whether the beginning-of-sequence token stays, which most servers put before a prompt
        themselves. Raises BackendError if the template refuses the messages.
        """
        always = {"messages": list(messages), "tools": None, "documents": None, "add_generation_prompt": True}
        try:
            prompt = self._template.render({**always, **self._tokens, **settings})
        except (TemplateError, TypeError, ValueError) as failure:
            raise BackendError(
                f"that of {self._place} cannot render the messages ({failure}).",
                where="template",
                remedy="Set instructions = '' if it takes no system message, or correct it.",
            ) from None
        return prompt if begins_with_bos else prompt.removeprefix(self._tokens.get("bos_token", ""))


def _tokenizer_settings(folder: Path) -> Mapping[str, object]:
    path = folder / _TOKENIZER_FILE
    try:
        settings = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, ValueError) as failure:
        raise ConfigError(
            f"{path} is no JSON ({failure}).", where="template", remedy="Download the tokenizer again."
        ) from None
    return settings if isinstance(settings, dict) else {}


def _source(folder: Path, settings: Mapping[str, object]) -> str:
    """The template's text: from a file of its own, or the tokenizer's settings; of several it is the default one."""
    path = folder / _TEMPLATE_FILE
    try:
        source: object = path.read_text("utf-8") if path.exists() else settings.get("chat_template")
    except (OSError, ValueError) as failure:
        raise ConfigError(
            f"{path} cannot be read ({failure}).", where="template", remedy="Download the tokenizer again."
        ) from None
    if isinstance(source, list):
        named = {str(each.get("name")): each.get("template") for each in source if isinstance(each, dict)}
        source = named.get("default")
    if not isinstance(source, str):
        raise ConfigError(
            f"{folder} has no {_TEMPLATE_FILE}, nor a chat_template in its {_TOKENIZER_FILE}.",
            where="template",
            remedy="Use a chat model's tokenizer, or 'none' for a base model.",
        )
    return source


def _parsed(place: Path, source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    try:
        return environment.from_string(source)
    except TemplateError as failure:
        raise ConfigError(
            f"that of {place} is damaged ({failure}).", where="template", remedy="Download the model again."
        ) from None


def _text(token: object) -> str:
    """A special token, which may be written with its settings."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Without jinja2's escapes for HTML, which a model has not seen in training."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> Never:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


class _Generation(Extension):
    """`{% generation %}`, by which templates mark what is trained on; it changes nothing of the text."""

    tags = {"generation"}  # noqa: RUF012 - as its base declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The block's body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
