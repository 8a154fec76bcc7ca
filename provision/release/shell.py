"""The shell functions of this package as one text, as they call each other."""

from pathlib import Path

from provision.engine.shell import library, quote
from provision.release import layout, process_manager, sandbox

FILES = (
    "mark",
    "command",
    "links",
    "tree",
    "tool",
    "uv",
    "node",
    "requirements",
    "python_check",
    "box",
    "lacking",
    "venv",
    "artifacts",
    "origin",
    "check",
    "migration",
    "process",
    "slot",
    "static",
    "activation",
    "takeover",
    "preview",
    "prune",
    "paths",
    "claim",
    "adopted",
    "memory",
    "uninstall",
)


def text(name: str) -> str:
    """One of the package's shell files, by its name without .sh."""
    return library(str(Path(__file__).with_name(name)))


# Everything else builds on the layouts and the facts.
FACTS = f"{layout.PRELUDE}{process_manager.PRELUDE}{text('facts')}"
MANAGERS = "".join(each.library for each in process_manager.PROCESS_MANAGERS.values())
ORIGIN = Path(__file__).with_name("origin.py").read_text()
LIBRARY = f"{FACTS}{MANAGERS}origin_program={quote(ORIGIN)}\n{sandbox.LIBRARY}{''.join(map(text, FILES))}"
PRESENT = f"{MANAGERS}{text('present')}"
