"""Final answers: the contents of a closed `\\boxed{…}`."""


def closed_boxed(text: str) -> str | None:
    """Contents of the last closed box."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for i in range(start + 6, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start + 7 : i]
    return None
