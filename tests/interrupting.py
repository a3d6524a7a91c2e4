"""Ctrl-C at every point where the interpreter looks for it: as a function begins, and behind each call of a builtin one."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from types import FrameType, ModuleType
from typing import Any


class Stop(BaseException):
    """What is raised there."""


def folders(*packages: ModuleType) -> tuple[str, ...]:
    """Where packages are, as `Interrupting` takes them."""
    return tuple([os.path.dirname(str(package.__file__)) for package in packages])


class Interrupting:
    """Raises `error` at the point number `at`; 0: counts them.

    Points are in code whose file begins with one of `places`; functions called as one of `but`, builtin ones too, have none."""

    def __init__(
        self,
        at: int,
        places: tuple[str, ...],
        error: type[BaseException] = Stop,
        *,
        but: Collection[str] = (),
    ) -> None:
        self.at = at
        self.count = 0
        self._places = places
        self._error = error
        self._but = but

    def __enter__(self) -> Interrupting:
        sys.setprofile(self._pass)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)

    def _pass(self, frame: FrameType, event: str, argument: Any) -> None:
        if event not in ("call", "c_return"):
            return
        code = frame.f_code
        if code.co_name in self._but or (event != "call" and argument.__name__ in self._but):
            return
        if code.co_filename.startswith(self._places):
            self.count += 1
            if self.count == self.at:
                raise self._error
