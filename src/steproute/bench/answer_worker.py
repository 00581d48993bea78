"""The process in which math-verify runs: one [answer, gold] a line in, true or false a line out."""

import json
import logging
import signal
import sys

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

_CONFIGS = (LatexExtractionConfig(), ExprExtractionConfig())


def equal(answer: str, gold: str) -> bool:
    """Whether two final answers are the same mathematically; `3 < x \\le 4` is the same as `(3,4]`."""
    parsed = [parse(f"\\boxed{{{text}}}", _CONFIGS, parsing_timeout=None) for text in (gold, answer)]
    return bool(verify(*parsed, allow_set_relation_comp=True, timeout_seconds=None))


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.WARNING)  # math-verify warns that its own time-outs are off; the parent process keeps time
    print("true", flush=True)
    for line in sys.stdin:
        print(json.dumps(equal(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
