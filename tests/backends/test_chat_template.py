"""Chat templates rendered from a tokenizer's folder, as Hugging Face's tokenizers render them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from steproute.backends.chat_template import ChatTemplate
from steproute.core.errors import BackendError, ConfigError

MESSAGES = [{"role": "system", "content": "Think."}, {"role": "user", "content": "A <riddle> & more."}]
TURNS = """\
{{ bos_token }}
{%- for message in messages %}
    {% if message.role == "nobody" or tools is not none %}{% continue %}{% endif %}
<{{ message["role"] }}>{{ message.content }}{{ eos_token }}
{% endfor %}
{% if add_generation_prompt %}
<assistant>{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}
{% endif %}"""


def folder_of(path: Path, template: object = None, **settings: object) -> Path:
    if isinstance(template, str):
        (path / "chat_template.jinja").write_text(template)
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return path


def rendered(path: Path, template: str, **settings: Any) -> str:
    return ChatTemplate.of_folder(folder_of(path, template, bos_token="<s>", eos_token="</s>")).prompt(
        MESSAGES, **settings
    )


def test_turns_are_rendered_up_to_where_the_answer_begins(tmp_path: Path) -> None:
    expected = "<s><system>Think.</s>\n<user>A <riddle> & more.</s>\n<assistant>"
    assert rendered(tmp_path, TURNS) == expected
    assert rendered(tmp_path, TURNS, begins_with_bos=False) == expected.removeprefix("<s>")
    assert rendered(tmp_path, TURNS, enable_thinking=False) == expected + "<think></think>"


@pytest.mark.parametrize(
    "settings",
    [
        {"chat_template": TURNS},
        {"chat_template": [{"name": "tools", "template": "no"}, {"name": "default", "template": TURNS}]},
    ],
)
def test_a_template_may_stand_among_the_tokenizers_settings(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings |= {"bos_token": {"content": "<s>", "lstrip": False}, "eos_token": "</s>", "unk_token": None}
    prompt = ChatTemplate.of_folder(folder_of(tmp_path, **settings)).prompt(MESSAGES)
    assert prompt.startswith("<s><system>Think.</s>\n<user>")


def test_a_template_of_its_own_file_goes_before_the_settings(tmp_path: Path) -> None:
    assert ChatTemplate.of_folder(folder_of(tmp_path, "new", chat_template="old")).prompt(MESSAGES) == "new"
    (tmp_path / "tokenizer_config.json").unlink()
    assert ChatTemplate.of_folder(tmp_path).prompt(MESSAGES) == "new"


def test_the_functions_that_templates_call_are_there(tmp_path: Path) -> None:
    assert rendered(tmp_path, "{{ messages[1] | tojson }}") == json.dumps(MESSAGES[1])
    assert rendered(tmp_path, "{{ messages[1] | tojson(indent=2) }}") == json.dumps(MESSAGES[1], indent=2)
    assert rendered(tmp_path, "{{ strftime_now('%Y') }}") == str(datetime.now().year)
    assert rendered(tmp_path, "a{% generation %}b{{ eos_token }}{% endgeneration %}c") == "ab</s>c"


def test_a_template_that_refuses_the_messages_says_so(tmp_path: Path) -> None:
    refusing = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(BackendError, match="template: .*System role not supported.*instructions = ''"):
        rendered(tmp_path, refusing)
    with pytest.raises(BackendError, match="template: .*unsafe"):
        rendered(tmp_path, "{{ messages.__class__.__mro__ }}")
    with pytest.raises(BackendError, match="template: "):
        rendered(tmp_path, "{{ messages.append(1) }}")


def test_a_folder_without_a_template_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="template: there is no folder .*missing"):
        ChatTemplate.of_folder(tmp_path / "missing")
    with pytest.raises(ConfigError, match="has no chat_template.jinja"):
        ChatTemplate.of_folder(tmp_path)
    with pytest.raises(ConfigError, match="has no chat_template.jinja"):
        ChatTemplate.of_folder(folder_of(tmp_path, chat_template=[{"name": "tools", "template": "x"}]))
    with pytest.raises(ConfigError, match="template: .*is damaged"):
        ChatTemplate.of_folder(folder_of(tmp_path, "{% if %}"))
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ConfigError, match="is no JSON"):
        ChatTemplate.of_folder(tmp_path)
