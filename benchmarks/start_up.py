"""CPU seconds until the first thing happens, user and system, the median of fresh interpreters: JSON lines.

`python` is the bare interpreter, which is a part of all others. `first solve` is `import steproute` and a lab problem.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys

SOLVE = (
    "import steproute; steproute.solve('(1) Ben has 30 coins. (2) Mia has 12 more coins than Ben. "
    "How many coins does Mia have now?')"
)
STARTS = {
    "python": "pass",
    "import steproute": "import steproute",
    "steproute --help": "from steproute.cli.main import app; app(['--help'])",
    "steproute solve --help": "from steproute.cli.main import app; app(['solve', '--help'])",
    "first solve": SOLVE,
}


def cpu_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    for name, code in STARTS.items():
        cpu_seconds(code)  # writes compiled files, reads the others
        seconds = [cpu_seconds(code) for _ in range(times)]
        print(json.dumps({"start": name, "cpu_s": round(statistics.median(seconds), 3), "times": times}))


if __name__ == "__main__":
    main()
