"""kvsh beside its peers: `python -m benchmarks` (or `make bench`).

Every row of the table is one workload that every peer runs in a fresh process of its own.  Peers take
turns, several rounds, so that a noisy minute hits all of them; what counts is the median of the
per-round ratios, not a time.  A round's answers must equal sqlite3's before its times count.

    workloads_*.py   what is measured: a set-up (untimed), a run (timed, in the worker), an answer
    peers.py         the key-value peers behind one small interface; SQL peers share PEP 249
    worker.py        one workload of one peer, in its own process; prints one JSON line
    runner.py        rounds, turns, ratios
    syncs.py         counts the syncs of peers whose commits are to be durable
    report.py        the table and the chart of docs/benchmarks.md
"""

from __future__ import annotations


def load_all() -> None:
    """Import every module that registers workloads."""
    from benchmarks import (  # noqa: F401
        workloads_cli,
        workloads_concurrency,
        workloads_kv,
        workloads_mixed,
        workloads_shell,
        workloads_sql,
        workloads_start,
        workloads_tpch,
    )
