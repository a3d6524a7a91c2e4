"""`python -m tests.api.stress --rounds N --seed S`: threads that change places at any moment, and what they were told.

Each round has a database, a durability, a switch interval, and threads that share a handle or have their own, those of a second
process among them in some rounds; each thread has a connection besides, to which another database is attached.  They
put keys, count up a row by several kinds of transaction, in both databases by some, read, checkpoint and compact.  With
`--interrupts` an exception comes to them at any point in some rounds, as Ctrl-C does to a main thread.  At the end each row
says how often it was counted, the keys are those that were put, and the check finds nothing.  A thread that hangs has the
stacks of all printed.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kvsh
from tests.interrupting import Stop

HANGS_SECONDS = 120
COUNT = "UPDATE t SET n = n + 1 WHERE id = 1"
WORK, COUNTS = "ppppppppppttuubbaadgssCc", "tubad"
"""What a thread does, a letter each, as often as it stands there; and what of it counts up the row."""

COUNT_ATTACHED = "UPDATE b.t SET n = n + 1 WHERE id = 1"


@dataclass
class Told:
    """What threads were told, and what they had begun: the same, unless they were interrupted."""

    counted: int = 0
    counting: int = 0
    attached: int = 0
    attaching: int = 0
    put: set[bytes] = field(default_factory=set)
    stopped: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Told) -> None:
        self.counted += other.counted
        self.counting += other.counting
        self.attached += other.attached
        self.attaching += other.attaching
        self.put |= other.put
        self.stopped += other.stopped
        self.failures += other.failures


@dataclass
class Plan:
    """What the threads of a process do."""

    path: Path
    seed: str
    durability: Any
    threads: int
    shares: bool
    interval: float
    interrupts: bool
    seconds: float

    def run(self) -> Told:
        with self.opened() as db:
            workers = [Worker(self, db, number) for number in range(self.threads)]
            before = sys.getswitchinterval()
            sys.setswitchinterval(self.interval)
            try:
                for worker in workers:
                    worker.start()
                if self.interrupts:
                    self.interrupt(workers)
                for worker in workers:
                    worker.join()
            finally:
                sys.setswitchinterval(before)
        told = Told()
        for worker in workers:
            told.add(worker.told)
        return told

    def opened(self) -> Any:
        return kvsh.open(self.path, durability=self.durability, timeout=60)

    def interrupt(self, workers: list[Worker]) -> None:
        """Now and then, one of them, for as long as they work."""
        rng = random.Random(f"{self.seed} interrupts")
        send = ctypes.pythonapi.PyThreadState_SetAsyncExc
        while any(worker.is_alive() for worker in workers):
            time.sleep(rng.random() * 0.02)
            worker = rng.choice(workers)
            with worker.lock:
                if worker.may_be_stopped:
                    # Until it has been dealt with there is no other one: nobody presses Ctrl-C that fast.
                    worker.may_be_stopped = False
                    send(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(Stop))


def run_in_process(plan: Plan, told: Any) -> None:
    faulthandler.dump_traceback_later(HANGS_SECONDS + plan.seconds, exit=True)
    told.send(plan.run())
    told.close()


class Worker(threading.Thread):
    def __init__(self, plan: Plan, db: Any, number: int) -> None:
        super().__init__()
        self.plan = plan
        self.db = db if plan.shares else plan.opened()
        self.rng = random.Random(f"{plan.seed} {number}")
        self.name_of_keys = f"{plan.seed} {number}".encode()
        self.told = Told()
        self.lock = threading.Lock()
        self.may_be_stopped = False

    def run(self) -> None:
        con = kvsh.connect(self.plan.path, timeout=60, isolation_level=None)
        try:
            con.execute("ATTACH ? AS b", (f"{self.plan.path}-attached",))
            for what in sorted(set(WORK)):  # no import of a module is interrupted later
                self.do(what, con)
            until = time.monotonic() + self.plan.seconds
            while time.monotonic() < until:
                try:
                    self.may_be_stopped = True
                    while time.monotonic() < until:
                        self.do(self.rng.choice(WORK), con)
                    self.stop_no_more()
                except Stop:
                    self.told.stopped += 1
                    self.roll_back(con)
        except Exception as error:
            self.told.failures.append(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            con.close()
            if not self.plan.shares:
                self.db.close()

    def stop_no_more(self) -> None:
        """What has been sent comes before this returns."""
        with self.lock:
            self.may_be_stopped = False
        time.sleep(0)

    def roll_back(self, con: Any) -> None:
        """What was stopped within a transaction."""
        if con.in_transaction:
            con.rollback()
        try:
            self.db.execute("ROLLBACK")
        except kvsh.OperationalError as error:
            if "no transaction" not in str(error):
                raise

    def do(self, what: str, con: Any) -> None:
        rng, db, told = self.rng, self.db, self.told
        # That it is begun is noted before, that it is done in one step with its return.
        if what in COUNTS:
            told.counting += 1
        match what:
            case "p":
                for _ in range(rng.choice([1, 5])):
                    key = b"%s:%d" % (self.name_of_keys, rng.randrange(500))
                    db.put(key, b"v")
                    told.put.add(key)
            case "t":
                with db.transaction():
                    db.put(b"in one", b"v")
                    db.execute(COUNT)
                told.counted += 1
            case "u":
                con.execute(COUNT)
                told.counted += 1
            case "b":
                con.execute("BEGIN IMMEDIATE")
                con.execute(COUNT)
                con.execute("COMMIT")
                told.counted += 1
            case "a":
                told.attaching += 1
                con.execute("BEGIN IMMEDIATE")
                con.execute(COUNT)
                con.execute(COUNT_ATTACHED)
                con.execute("COMMIT")
                told.counted += 1
                told.attached += 1
            case "d":
                db.execute(COUNT)
                told.counted += 1
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


class Round:
    """One database and its threads."""

    def __init__(self, path: Path, seed: int, seconds: float, *, interrupts: bool) -> None:
        rng = random.Random(seed)
        self.plan = Plan(
            path,
            str(seed),
            durability=rng.choice(["full", "full", "normal", "off"]),
            threads=rng.choice([2, 4, 6, 8, 12]),
            shares=rng.random() < 0.6,
            interval=rng.choice([1e-6, 1e-6, 1e-5, 1e-4, 5e-3]),
            interrupts=interrupts and rng.random() < 0.5,
            seconds=seconds,
        )
        self.has_second_process = rng.random() < 0.3
        self.told = Told()

    def run(self) -> list[str]:
        """What went wrong."""
        plan, told = self.plan, self.told
        attached = f"{plan.path}-attached"
        for path in (plan.path, attached):
            with kvsh.open(path) as db:
                db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INT)")
                db.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
        with plan.opened() as db:
            if self.has_second_process:
                self.run_two()
            else:
                told.add(plan.run())
            self.compare("an old handle", db)
        for readonly in (True, False):
            with kvsh.open(plan.path, readonly=readonly) as db, kvsh.open(attached) as other:
                self.compare("a new handle", db)
                self.expect("attached", told.attached, told.attaching, other)
                told.failures += db.check() + other.check()
        return told.failures

    def run_two(self) -> None:
        """In this process and in another one."""
        plan = self.plan
        context = multiprocessing.get_context("spawn")
        receiving, sending = context.Pipe(duplex=False)
        theirs = Plan(**{**vars(plan), "seed": f"{plan.seed} other", "threads": 2})
        process = context.Process(target=run_in_process, args=(theirs, sending))
        process.start()
        sending.close()
        self.told.add(plan.run())
        try:
            self.told.add(receiving.recv())
        except EOFError:
            self.told.failures.append("the other process ended early")
        process.join()

    def compare(self, who: str, db: Any) -> None:
        told = self.told
        self.expect(who, told.counted, told.counting, db)
        lost = told.put - set(db.keys())
        if lost:
            told.failures.append(f"{who}: {len(lost)} keys are lost, {min(lost)!r} for one")

    def expect(self, who: str, counted: int, counting: int, db: Any) -> None:
        ((found,),) = db.execute("SELECT n FROM t WHERE id = 1").fetchall()
        if not counted <= found <= (counting if self.plan.interrupts else counted):
            self.told.failures.append(
                f"{who}: counted {counted} times of {counting}, the row says {found}"
            )

    def __str__(self) -> str:
        plan, told = self.plan, self.told
        return (
            f"{plan.durability}, {plan.threads} threads, one handle: {plan.shares},"
            f" second process: {self.has_second_process}: {len(told.put)} keys,"
            f" {told.counted} counted, {told.attached} attached, {told.stopped} stopped"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3, help="of each round")
    parser.add_argument("--interrupts", action="store_true", help="as by Ctrl-C, in some rounds")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.seed, options.seed + options.rounds):
        faulthandler.dump_traceback_later(HANGS_SECONDS + options.seconds, exit=True)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "db"
            one = Round(path, seed, options.seconds, interrupts=options.interrupts)
            failures = one.run()
        faulthandler.cancel_dump_traceback_later()
        failed += bool(failures)
        print(f"seed {seed}: {one}", *failures, sep="\n  ", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
