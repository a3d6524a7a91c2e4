"""`python -m tests.api.stress --rounds N --seed S`: threads that change places at any moment, and what they were told.

Each round has a database, a durability, a switch interval, and threads that share a handle or have their own; each has a
connection besides.  They put keys, count up a row by several kinds of transaction, read, checkpoint and compact.  At the
end the row says how often it was counted, the keys are those that were put, and the check finds nothing.  A thread that
hangs has the stacks of all printed.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import kvsh

HANGS_SECONDS = 120
COUNT = "UPDATE t SET n = n + 1 WHERE id = 1"


class Round:
    """One database and its threads."""

    def __init__(self, path: Path, seed: int, seconds: float) -> None:
        rng = random.Random(seed)
        self.path, self.seed = path, seed
        self.durability: Any = rng.choice(["full", "full", "normal", "off"])
        self.threads = rng.choice([2, 4, 6, 8, 12])
        self.shares = rng.random() < 0.6
        self.interval = rng.choice([1e-6, 1e-6, 1e-5, 1e-4, 5e-3])
        self.until = time.monotonic() + seconds
        self.counted = 0
        self.put: set[bytes] = set()
        self.failures: list[str] = []
        self.lock = threading.Lock()
        self.db = self.opened()

    def opened(self) -> Any:
        return kvsh.open(self.path, durability=self.durability, timeout=60)

    def run(self) -> list[str]:
        """What went wrong."""
        with self.db as db:
            db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INT)")
            db.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
            threads = [
                threading.Thread(target=self.attempt, args=(number,))
                for number in range(self.threads)
            ]
            before = sys.getswitchinterval()
            sys.setswitchinterval(self.interval)
            try:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            finally:
                sys.setswitchinterval(before)
            self.compare("this handle", db)
            with kvsh.open(self.path, readonly=True) as other:
                self.compare("a new handle", other)
            self.failures += db.check()
        return self.failures

    def compare(self, who: str, db: Any) -> None:
        ((found,),) = db.execute("SELECT n FROM t WHERE id = 1").fetchall()
        if found != self.counted:
            self.failures.append(f"{who}: counted {self.counted} times, the row says {found}")
        lost = self.put - set(db.keys())
        if lost:
            self.failures.append(f"{who}: {len(lost)} keys are lost, {min(lost)!r} for one")

    def attempt(self, number: int) -> None:
        own = None if self.shares else self.opened()
        con = kvsh.connect(self.path, timeout=60, isolation_level=None)
        try:
            self.work(self.db if own is None else own, con, random.Random(f"{self.seed} {number}"))
        except Exception as error:
            self.failures.append(f"thread {number}: {type(error).__name__}: {error}")
        finally:
            con.close()
            if own is not None:
                own.close()

    def work(self, db: Any, con: Any, rng: random.Random) -> None:
        me = threading.get_ident()
        while time.monotonic() < self.until:
            match rng.choice("ppppppppppttuubdgssCc"):
                case "p":
                    keys = [b"%d:%d" % (me, rng.randrange(500)) for _ in range(rng.choice([1, 5]))]
                    for key in keys:
                        db.put(key, b"v")
                    self.note(keys=keys)
                case "t":
                    with db.transaction():
                        db.put(b"in one", b"v")
                        db.execute(COUNT)
                    self.note(1)
                case "u":
                    con.execute(COUNT)
                    self.note(1)
                case "b":
                    con.execute("BEGIN IMMEDIATE")
                    con.execute(COUNT)
                    con.execute("COMMIT")
                    self.note(1)
                case "d":
                    db.execute(COUNT)
                    self.note(1)
                case "g":
                    db.get(b"in one")
                    con.execute("SELECT count(*) FROM t").fetchall()
                case "s":
                    time.sleep(rng.random() * 0.003)
                case "c":
                    db.checkpoint()
                case _:
                    try:
                        db.compact()
                    except kvsh.OperationalError as error:
                        if "another compaction was faster" not in str(error):
                            raise

    def note(self, counted: int = 0, keys: list[bytes] | None = None) -> None:
        with self.lock:
            self.counted += counted
            self.put.update(keys or ())


def main() -> int:
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3, help="of each round")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.seed, options.seed + options.rounds):
        faulthandler.dump_traceback_later(HANGS_SECONDS + options.seconds, exit=True)
        with tempfile.TemporaryDirectory() as directory:
            one = Round(Path(directory) / "db", seed, options.seconds)
            failures = one.run()
        faulthandler.cancel_dump_traceback_later()
        failed += bool(failures)
        shown = f"{one.durability}, {one.threads} threads, one handle: {one.shares}"
        print(
            f"seed {seed}: {shown}: {len(one.put)} keys, {one.counted} counted",
            *failures,
            sep="\n  ",
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
