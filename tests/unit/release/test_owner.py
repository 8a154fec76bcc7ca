from __future__ import annotations

from typing import TYPE_CHECKING

from provision.engine.resource import State
from provision.release.owner import Owner

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.release.serving import Observe


def test_the_first_inventory_of_an_app_is_noted_and_stays(
    root: Path,
    observe: Observe,
    make: Callable[..., subprocess.CompletedProcess[str]],
    owners: Callable[[], list[str]],
) -> None:
    first, second = Owner("shop", "production"), Owner("shop", "another")
    (state,) = observe(first)
    ran = make(first.plan(state, {}))
    assert ran.returncode == 0, ran.stderr
    path = root / "var/lib/provision/apps/shop/owner"
    name, since = path.read_text().split()
    assert (name, len(since), oct(path.stat().st_mode)) == ("production", len("2026-11-27T02:00:00Z"), "0o100644")
    for one, state in zip((first, second), observe(first, second), strict=True):
        assert one.plan(state, {}) is None


def test_a_name_that_the_shell_would_read_is_none() -> None:
    change = Owner("shop", 'my "$(prod)"').plan(State(), {})
    assert change is not None
    assert change.script.startswith('mark_write shop owner "my----prod-- $(date -u ')
