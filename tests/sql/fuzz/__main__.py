"""Random statements against sqlite3 for as long as one likes.

    python -m tests.sql.fuzz                              # 100,000 statements, from seed 1 on
    python -m tests.sql.fuzz --statements 1000000 --seed 50000
    python -m tests.sql.fuzz --only queries --seed 3038 --statements 1

Differences are printed as they are found, each with its seed; a line every so often says how far it is.  The
exit status is 1 if one is left unexplained."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.sql.fuzz.runs import RUNS, Difference, Outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sql.fuzz")
    parser.add_argument("--statements", type=int, default=100_000, help="how many, at least")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--only", choices=RUNS, help="one kind of run")
    arguments = parser.parse_args()
    kinds = [arguments.only] if arguments.only else list(RUNS)
    statements = explained = 0
    unexplained: list[tuple[str, int]] = []
    seed = arguments.seed
    told = time.monotonic()
    while statements < arguments.statements:
        for kind in kinds:
            outcome = attempt(kind, seed)
            statements += outcome.statements
            for difference in outcome.differences:
                print(f"{kind}, {difference}", flush=True)
                if difference.reason:
                    explained += 1
                else:
                    unexplained.append((kind, seed))
        seed += 1
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"... before seed {seed}: {statements:,} statements", file=sys.stderr, flush=True)
    print(
        f"seeds {arguments.seed} to {seed - 1} ({', '.join(kinds)}): {statements:,} statements,"
        f" {explained} differences known, {len(unexplained)} not {unexplained or ''}"
    )
    return 1 if unexplained else 0


def attempt(kind: str, seed: int) -> Outcome:
    """The run's outcome; an exception that is no SQL error is a difference, too."""
    try:
        return RUNS[kind](seed)
    except Exception:  # whatever it is, it is shown, and the other seeds are tried
        return Outcome(1, [Difference(seed, "crash", traceback.format_exc()[-2000:], "no crash")])


if __name__ == "__main__":
    sys.exit(main())
