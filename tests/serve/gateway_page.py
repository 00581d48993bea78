"""The examples of the page about the gateway's API, for the address of a test's gateway."""

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs/reference/gateway-api.md"
_EXAMPLE = re.compile(r"^```(\w+) title=.*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(language: str, url: str) -> list[str]:
    """Those of a language."""
    page = _PAGE.read_text().replace("http://127.0.0.1:8700", url)
    return [body for kind, body in _EXAMPLE.findall(page) if kind == language]
