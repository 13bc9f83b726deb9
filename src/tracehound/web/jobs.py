"""In: long work on a case. Out: it done in the background, one at a time, and how far it is. Never here: the work.

A job is a thread: kernels and DuckDB let the others run. What a job made is in the case's log, or did not happen; a server that is
killed loses the job, never the case."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tracehound.edges.clock import now_ns
from tracehound.errors import TracehoundError

MOST_KEPT: Final = 200
Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Job:
    """done and total count bytes; state is waiting, running, done, failed."""

    job_id: int
    case: str
    says: str
    who: str
    begun_ns: int
    state: str = "waiting"
    done: int = 0
    total: int | None = None
    answer: str = ""
    ended_ns: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Jobs:
    """All jobs of one server."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()
        self._guard = threading.Lock()

    def start(self, case: str, says: str, who: str, work: Callable[[Progress], str]) -> Job:
        """Begin work in the background; it waits for its turn."""
        with self._guard:
            job = Job(next(self._numbers), case, says, who, now_ns())
            self._jobs[job.job_id] = job
            for old in [j for j in self._jobs.values() if j.ended_ns is not None][:-MOST_KEPT]:
                del self._jobs[old.job_id]
        threading.Thread(target=self._run, args=(job, work), name=f"job-{job.job_id}", daemon=True).start()
        return job

    def _run(self, job: Job, work: Callable[[Progress], str]) -> None:
        with self._turn:
            job.state = "running"
            try:
                job.answer = work(lambda done, total: self._progress(job, done, total))
                job.state = "done"
            except TracehoundError as cause:
                job.state, job.answer = "failed", str(cause)
            except Exception as cause:  # the thread must say that it ended, whatever happened
                job.state, job.answer = "failed", f"unexpected: {cause!r}"
                raise
            finally:
                job.ended_ns = now_ns()

    @staticmethod
    def _progress(job: Job, done: int, total: int | None) -> None:
        job.done, job.total = done, total

    def of(self, case: str) -> list[Job]:
        """Jobs of one case, newest first."""
        with self._guard:
            return sorted((j for j in self._jobs.values() if j.case == case), key=lambda j: -j.job_id)
