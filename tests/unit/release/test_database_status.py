"""What a server says of its PostgreSQL."""

from __future__ import annotations

import pytest

from provision.release.database_status import DatabaseState, state

WHEN = "2026-05-01T12:00:00Z"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"what=postgresql\tanswers=yes\trestarts=0\tsince={WHEN}\twhy=", ()),
        (
            f"what=postgresql\tanswers=yes\trestarts=1\tsince={WHEN}\twhy=server process (PID 7) was terminated by signal 9",
            (
                f"web1: PostgreSQL ended and came back by itself once, last at {WHEN}: server process (PID 7) was terminated by signal 9",
            ),
        ),
        (
            f"what=postgresql\tanswers=no\trestarts=7\tsince={WHEN}\twhy=could not write: No space left on device",
            (f"web1: PostgreSQL does not answer since {WHEN}: could not write: No space left on device",),
        ),
        ("app=shop", ("web1: PostgreSQL does not answer since an unknown time",)),
        ("what=postgresql\tanswers=yes\trestarts=x\tsince=\twhy=", ()),
    ],
)
def test_what_happened_to_it_is_said(line: str, expected: tuple[str, ...]) -> None:
    assert state([line]).lines("web1") == expected


def test_what_it_says_is_printable() -> None:
    assert "\x1b" not in state(["what=postgresql\tanswers=no\trestarts=1\tsince=\twhy=a\x1b[2Jb"]).lines("web1")[0]
    assert DatabaseState(True).lines("web1") == ()
