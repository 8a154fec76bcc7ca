"""The commands of an app's processes and schedules, as a process manager runs them."""

import re
from dataclasses import dataclass

from provision.inventory import App

# What a shell reads as more than one program with its arguments.
COMPOUND = re.compile(
    r"[;&|(){}`\n]|^\s*(\w+=|(cd|if|while|until|for|case|eval|export|set|trap|ulimit|umask|test|\.|\[|!)\s)"
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command for a shell. `oneshot`: a schedule's. `group`: ending it means ending everything that its shell started."""

    line: str
    oneshot: bool
    group: bool


def commands(app: App) -> dict[str, Command]:
    """The commands of processes and schedules, by name. A single program replaces the shell, and so gets its signals."""
    lines = {**app.processes, **{name: schedule.run for name, schedule in app.schedules.items()}}
    return {name: _command(line, name in app.schedules) for name, line in lines.items()}


def _command(line: str, oneshot: bool) -> Command:
    if not COMPOUND.search(line) and not line.startswith("exec "):
        line = f"exec {line}"
    return Command(line, oneshot, group=not line.startswith("exec "))
