"""Log-probabilities of the tokens of a streamed piece."""

from collections.abc import Mapping
from dataclasses import dataclass

from steproute.backends.http.json_fields import number, table


@dataclass(frozen=True, slots=True)
class Logprobs:
    """values: one per token; that of a first token without one is 0. first_tokens: the most likely first tokens and
    their log-probabilities."""

    values: tuple[float, ...]
    first_tokens: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, held: object) -> "Logprobs | None":
        """From either API's form: a list of tokens as `content`, or lists side by side. None if there is neither."""
        fields = table(held)
        if isinstance(content := fields.get("content"), list):
            tokens = [table(token) for token in content]
            first = tokens[0].get("top_logprobs") if tokens else None
            return cls(tuple(_value(token.get("logprob")) for token in tokens), _listed(first))
        if isinstance(values := fields.get("token_logprobs"), list):
            tops = fields.get("top_logprobs")
            return cls(tuple(map(_value, values)), _listed(tops[0] if isinstance(tops, list) and tops else None))
        return None


def _value(held: object) -> float:
    return number(held) or 0.0


def _listed(alternatives: object) -> tuple[tuple[str, float], ...]:
    """Alternatives as a list of objects or as an object of numbers."""
    if isinstance(alternatives, Mapping):
        pairs = [(str(token), number(value)) for token, value in alternatives.items()]
    else:
        each = [table(one) for one in alternatives] if isinstance(alternatives, list) else []
        pairs = [(str(one.get("token") or ""), number(one.get("logprob"))) for one in each]
    return tuple((token, value) for token, value in pairs if value is not None)
