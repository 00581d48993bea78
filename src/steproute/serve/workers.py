"""Several processes behind one port, each replaced when it dies."""

import logging
import os
import signal
import sys
import time
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

_LOG: Final = logging.getLogger("steproute.serve")
_PAUSE_S: Final = 1.0


def run_workers(config: uvicorn.Config) -> None:
    """Serve with `config.workers` processes until a signal comes. Exits with 3 if the first of them cannot start."""
    workers = _Workers(config, sockets=[config.bind_socket()])
    workers.run()
    if any(each.exitcode == STARTUP_FAILURE for each in workers.processes):
        sys.exit(STARTUP_FAILURE)


class _Workers(Multiprocess):
    """uvicorn's supervisor, which forwards a second signal and goes on while workers cannot start again."""

    _have_served = False

    def keep_subprocess_alive(self) -> None:
        """Replace the processes that died or hang. What could start once is started until it can start again."""
        self._have_served = self._have_served or any(
            each.process.is_alive() and each.is_ready() for each in self.processes
        )
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(self.config.timeout_worker_healthcheck):
                continue
            hangs = process.process.is_alive()
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE and not self._have_served:
                return self.should_exit.set()
            if process.exitcode == STARTUP_FAILURE:
                time.sleep(_PAUSE_S)
            self.processes[index] = Process(self.config, self.sockets)
            self.processes[index].start()
            _LOG.warning(
                "worker %s %s; worker %s was started in its place",
                process.pid,
                "did not answer and was killed" if hangs else _ending(process.exitcode),
                self.processes[index].pid,
            )

    def handle_term(self) -> None:
        """Stop. A second signal that came before the first was handled is left for `join_all`."""
        if self.should_exit.is_set():
            self.signal_queue.append(signal.SIGTERM)
        self.should_exit.set()

    def handle_int(self) -> None:
        """As SIGTERM."""
        self.handle_term()

    def join_all(self) -> None:
        """Wait for the processes; further signals reach those that are left."""
        while living := [each.process for each in self.processes if each.process.is_alive()]:
            living[0].join(0.1)
            if self.signal_queue:
                self.signal_queue.clear()
                for process in living:
                    os.kill(process.pid or 0, signal.SIGTERM)


def _ending(exitcode: int | None) -> str:
    """How a process ended, which is the negative number of the signal that killed it."""
    if exitcode is None or exitcode >= 0:
        return f"ended with exit status {exitcode}"
    return f"was killed by {signal.Signals(-exitcode).name} (exit status {exitcode})"
