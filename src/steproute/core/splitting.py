"""Text to steps and back."""

from steproute.core.errors import ConfigError


def split_steps(text: str, separator: str) -> list[str]:
    """The steps of `text`; `join_steps` of them gives `text` back, whatever it holds.

    Raises ConfigError for an empty separator.
    """
    if not separator:
        raise ConfigError("separator: is empty. Give the text that ends a step, such as a blank line.")
    return text.split(separator)


def join_steps(steps: list[str], separator: str) -> str:
    """The text that `split_steps` cut into `steps`."""
    return separator.join(steps)
