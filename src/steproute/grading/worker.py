"""A process that answers: one [text, other text, CPU seconds] per line in, and JSON per line out, null for no answer.
This module's compares answers by math-verify.

A question that takes more CPU time than it may ends the process, and so does the end of its parent.
"""

import json
import logging
import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from steproute.grading.compare import equal

_PARENT_CHECK_S: Final = 0.5
_MOST_BYTES: Final = 4 * 2**30


def main(parent: int, load: Callable[[], Callable[[str, str], object]]) -> None:
    """Serve until the input ends or the parent is gone. load: gets ready, and returns what answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with(parent)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _MOST_BYTES)
    logging.disable(logging.WARNING)  # math-verify warns that its own time-outs are off; this process keeps time
    sys.set_int_max_str_digits(0)
    answer = load()
    print("true", flush=True)
    for line in sys.stdin:
        one, other, cpu_s = json.loads(line)
        _allow(cpu_s)
        print(json.dumps(_answered(answer, one, other)), flush=True)


def _mathematics() -> Callable[[str, str], object]:
    from steproute.grading import formulas

    return lambda answer, gold: bool(equal(answer, gold, formulas.equal))


def _answered(answer: Callable[[str, str], object], one: str, other: str) -> object:
    """The answer; None if it fails in an unexpected way, or needs too much memory."""
    try:
        return answer(one, other)
    except Exception:
        return None


def _allow(cpu_s: float) -> None:
    """Let the next question take `cpu_s` of CPU time, after which the system ends this process."""
    used = time.process_time()
    _limit(resource.RLIMIT_CPU, math.ceil(used + cpu_s))


def _limit(kind: int, amount: int) -> None:
    """Lower or raise the soft limit; a system that does not know the limit goes without."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        amount = min(amount, most)
    try:
        resource.setrlimit(kind, (amount, most))
    except (OSError, ValueError):
        return


def _end_with(parent: int) -> None:
    """End this process when its parent ends.

    Linux offers a signal for that, but sends it when the thread that started this process ends, and an event loop ends
    its threads.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), _mathematics)
