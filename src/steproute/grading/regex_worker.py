"""The process in which regular expressions run, since a match may take longer than anyone waits."""

import json
import re
import sys

from steproute.grading.worker import main


def matches(text: str, question: str) -> bool:
    """question: JSON of the pattern, whether case counts and whether all of the text has to match."""
    pattern, ignore_case, whole = json.loads(question)
    compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    return (compiled.fullmatch(text) if whole else compiled.search(text)) is not None


if __name__ == "__main__":
    main(int(sys.argv[1]), lambda: matches)
