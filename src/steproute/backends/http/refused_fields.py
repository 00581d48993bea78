"""Which fields of a request a server's error refuses."""

import re
from typing import Final

FIELDS: Final = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop", "logprobs", "top_logprobs"),
    *("stream_options", "max_tokens", "max_completion_tokens", "add_special_tokens", "chat_template_kwargs"),
)
"""Fields of our requests that a server may refuse."""

_NAMED: Final = re.compile(rf"(?<![\w-])({'|'.join(sorted(FIELDS, key=len, reverse=True))})(?![\w-])")
_REFUSES: Final = re.compile(
    r"unsupported|(?:not|n't|no longer|only) (?:currently |be )?support|unknown|unrecogni[sz]ed|unexpected|"
    r"extra[ _](?:input|forbidden|field)|additional propert|not (?:permitted|allowed|accepted|available|implemented)|"
    r"(?:not|n't) (?:a )?(?:valid|recogni[sz]ed|accept)|deprecated|cannot find field|no such (?:field|parameter)|"
    r"invalid (?:parameter|argument|field|option)\b|cannot (?:both )?be (?:used|specified|set)|please remove",
    re.IGNORECASE,
)
_OF_VALUE: Final = re.compile(
    r"must be|should be|between|at (?:most|least)|(?:less|greater|larger|smaller|more|fewer) than|"
    r"too (?:large|small|high|low|long|many)|out of range|in the range|exceed",
    re.IGNORECASE,
)


def refused_fields(message: str) -> tuple[str, ...]:
    """Fields of a request that an error's message refuses, in its order; none if it is about something else.

    A field whose value is out of range is not refused. Of two that exclude each other it is the second.
    """
    if not _REFUSES.search(message) or _OF_VALUE.search(message):
        return ()
    named = tuple(dict.fromkeys(_NAMED.findall(message)))
    if "both" in message and len(named) == 2:
        return named[1:]
    instead = re.search(r"\b(?:use|try)\b\W*(\w+)\W*\binstead", message, re.IGNORECASE)
    return tuple(name for name in named if instead is None or name != instead[1])
