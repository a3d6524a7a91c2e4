"""One workload of one peer, in a process of its own: `python -m benchmarks.worker NAME PEER SIZE DIR SHARED`.

Prints one JSON line: seconds, peak memory in MiB, a digest of the answer, the workload's notes.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys

from benchmarks import load_all
from benchmarks.workloads import WORKLOADS, Job


def main() -> None:
    name, peer, size, directory, shared = sys.argv[1:]
    load_all()
    job = Job(peer, int(size), directory, shared)
    answer = WORKLOADS[name].run(job)
    digest = None if answer is None else hashlib.sha256(repr(answer).encode()).hexdigest()[:16]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(
        json.dumps(
            {
                "seconds": job.watch.seconds,
                "peak_mib": round(peak_mib, 1),
                "answer": digest,
                "notes": job.notes,
            }
        )
    )


if __name__ == "__main__":
    main()
