"""Text that UTF-8 can hold, which every file of a run is written in."""


def is_writable(text: str) -> bool:
    """False for a text with a lone surrogate, half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def writable(text: str) -> str:
    """The text with each lone surrogate spelled out, such as `\\udc80`."""
    return text if is_writable(text) else text.encode(errors="backslashreplace").decode()
