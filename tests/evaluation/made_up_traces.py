"""Any trace that can be written, for property tests."""

from decimal import Decimal
from typing import Final

from hypothesis import strategies as st

from steproute import Accept, AccountLine, Outcome, Purpose, Rewrite, Step, Usage
from steproute.core.grade import Verdict
from steproute.core.solution import Confidence
from steproute.core.trace import Fallback, Trace

_counts: Final = st.integers(0, 2**40)
_seconds: Final = st.floats(0, 1e6)
_scores: Final = st.none() | st.floats(0, 1)
_texts: Final = st.text(max_size=20) | st.sampled_from(['"', ",", "\n", "\r\n", "", "null", "NA", "=1+1", "≤"])
_dollars: Final = st.decimals(Decimal(0), Decimal(10**6), places=18)
_roles: Final = st.sampled_from(["weak", "strong", "prm", "mid"])

usages = st.builds(
    Usage,
    input_tokens=_counts,
    cache_read_tokens=_counts,
    cache_write_tokens=_counts,
    cache_write_1h_tokens=_counts,
    output_tokens=_counts,
    reasoning_tokens=_counts,
    estimated=st.booleans(),
)
lines = st.builds(
    AccountLine,
    role=_roles,
    model=_texts,
    purpose=st.sampled_from(Purpose),
    usage=usages,
    cost_usd=_dollars,
    price_table=_texts,
    latency_s=_seconds,
    request_id=_texts,
    wait_s=_seconds,
)
steps = st.builds(
    Step,
    role=_roles,
    text=_texts,
    tokens=_counts,
    score=_scores,
    decision=st.none() | st.just(Accept()) | st.builds(Rewrite, _roles, st.none() | st.integers(1, 3)),
    rejected=st.none() | _texts,
    rejected_score=_scores,
    confidence=st.none()
    | st.builds(Confidence, mean_logprob=st.floats(-99, 0), min_logprob=st.floats(-99, 0), first_token_entropy=_scores),
)
traces = st.builds(
    Trace,
    problem_id=_texts,
    route=_texts | st.sampled_from(["single/weak", "stepwise(takeover_steps=2)/runs/own=0.25"]),
    steps=st.lists(steps, max_size=4).map(tuple),
    answer=st.none() | _texts,
    outcome=st.sampled_from(Outcome),
    account=st.lists(lines, max_size=5).map(tuple),
    latency_s=_seconds,
    seed=st.integers(0, 2**32 - 1),
    error=st.none() | _texts,
    at_fault=st.none() | _roles,
    verdict=st.none() | st.sampled_from(Verdict),
    gold=st.none() | _texts,
    grader=st.none() | _texts,
    fallbacks=st.lists(st.builds(Fallback, role=_roles, reason=_texts), max_size=2).map(tuple),
)
