"""How systemd rates units on a server, from 0 to 10, which is the worst."""

from functools import partial

from benchmarks.exposure import LIMIT, exposures
from tests.lab.conftest import shell


def rating(server: str, unit: str) -> float:
    """The exposure level of a unit."""
    said = shell(server, f"systemd-analyze security --no-pager {unit} | tail -n 1")
    return float(said.rpartition("exposure level for")[2].rpartition(": ")[2].split()[0])


def exposed(server: str) -> dict[str, float]:
    """The units that are the toolkit's and whose exposure level is above the limit."""
    ratings = exposures(partial(shell, server))
    assert ratings, "none of the server's units is ours"
    return {unit: level for unit, level in ratings.items() if level > LIMIT}
