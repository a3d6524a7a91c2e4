"""Random sequences of steps against sqlite3 for as long as one likes.

    python -m tests.sql.sequences                             # 20 sequences of 150 steps, from seed 1 on
    python -m tests.sql.sequences --steps 400 --seed 500 --sequences 100
    python -m tests.sql.sequences --seed 17 --sequences 1 --rows 200 --as-is

The first difference of each sequence is printed with the steps that it takes, found by leaving others out (not with
`--as-is`).  The exit status is 1 if there was one."""

from __future__ import annotations

import argparse
import sys
import time

from tests.sql.sequences.runs import run, shrunk


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sql.sequences")
    parser.add_argument("--steps", type=int, default=150, help="of a sequence")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--sequences", type=int, default=20, help="how many, a seed each")
    parser.add_argument("--rows", type=int, help="of a table at most; else what the seed says")
    parser.add_argument(
        "--as-is", action="store_true", help="show what failed without shortening it"
    )
    parser.add_argument("--patience", type=float, default=60, help="seconds to shorten one for")
    arguments = parser.parse_args()
    failed = []
    total = 0
    told = started = time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.sequences):
        count, failure = run(seed, arguments.steps, arguments.rows)
        total += count
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"... seed {seed}: {total:,} steps", file=sys.stderr, flush=True)
        if failure is None:
            continue
        failed.append(seed)
        print(f"seed {seed}, step {count}: {failure.told}", flush=True)
        if not arguments.as_is:
            failure = shrunk(failure, arguments.patience)
            print(f"  in short: {failure.told}")
        print(f"  {failure.settings}, {failure.span} rows")
        for step in failure.steps[-60:]:
            print(f"    {step!r},", flush=True)
    print(
        f"seeds {arguments.seed} to {arguments.seed + arguments.sequences - 1}: {total:,} steps in"
        f" {time.monotonic() - started:.0f} s, {len(failed)} failed {failed or ''}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
