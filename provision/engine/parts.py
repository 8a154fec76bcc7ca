"""Shell commands that only read, in parts that run at the same time: most of their time goes into starting programs and waiting for
answers.
"""

from collections.abc import Sequence

from provision.engine.shell import library

LIBRARY = library(__file__)
END = "end"


def together(calls: Sequence[str], count: int) -> str:
    """A function `main` that runs the calls in `count` parts; each part prints END last."""
    names = [f"part_{number}" for number in range(count)]
    bodies = ["".join(f"{call}\n" for call in calls[first::count]) for first in range(count)]
    parts = "".join(f"{name}() {{\n{body}echo {END}\n}}\n" for name, body in zip(names, bodies, strict=True))
    return f"{parts}main() {{\nparts_together {' '.join(names)}\n}}\n"


def ended(lines: Sequence[str], count: int) -> bool:
    """Whether each part has come to its end, and nothing follows the last."""
    return lines[-1] == END and lines.count(END) == count
