"""A question to whoever watches a run, which ends when the run does."""

from __future__ import annotations

import sys
from select import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 0.2


def ask(question: str, answers: str, over: Callable[[], bool]) -> str:
    """Ask until the answer is a letter of `answers`, or it is `over` and there is none.

    Ctrl-C, the end of input, and no terminal at all stand for the first of them.
    """
    if not sys.stdin.isatty():
        return answers[0]
    try:
        _print(question)
        while not over():
            if not select([sys.stdin], [], [], LOOK_SECONDS)[0]:
                continue
            line = sys.stdin.readline()
            answer = line.strip().lower()[:1] if line else answers[0]
            if answer in tuple(answers):
                return answer
            _print(question)
    except KeyboardInterrupt:
        if not over():
            return answers[0]
    _print("\nIt has ended meanwhile.\n")
    return ""


def _print(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
