"""A check's way to a host believes no answer to be short or harmless."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from provision.errors import ConnectionLost
from provision.run import remote
from provision.run.remote import Backend, heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.inventory import Host


@pytest.mark.parametrize("command", [b"yes", b"yes >&2", b"cat /dev/zero", b"yes & yes >&2"])
def test_an_answer_without_an_end_is_refused_and_its_command_ended(command: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match=r"it says more than an answer has \(128 KB\)"):
        heard(command)
    assert time.monotonic() - began < 10


def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_it_may_take() -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="it did not answer within 0 seconds"):
        heard(b"sleep 20; sleep 20 & exec sleep 20", seconds=0.3)
    assert time.monotonic() - began < 5


def test_an_answer_is_all_that_is_said_without_control_characters() -> None:
    said = heard(b"cat; printf '\\033[2Ja\\tb\\n\\377\\302\\233'; printf '\\r\\007' >&2; exit 7", b"word\n")
    assert said == (7, "word\n\\x1b[2Ja\tb\n\ufffd\\x9b".encode(), b"\\x0d\\x07")
    assert heard(b"exit 3", b"nobody reads this" * 100000) == (3, b"", b"")


def test_a_host_that_has_not_answered_is_asked_nothing_more(
    make_host: Callable[..., Host],
    stand_in: Callable[[str, str], Path],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its further checks fail with the same line, at once; those of other hosts go on."""
    monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(remote, "LONGEST", 1000)
    stand_in("ssh", f"echo asked >>'{root}/asked'; yes")
    host = Backend(make_host(), root / "config", root / "control", None).get_remote()
    for _ in range(3):
        with pytest.raises(pytest.fail.Exception, match="web1: it says more than an answer has"):
            host.run("true")
    assert (root / "asked").read_text() == "asked\n"
    stand_in("ssh", "printf '\\033]0;owned\\007gone\\n' >&2; exit 255")
    host = Backend(make_host(), root / "config", root / "control", None).get_remote()
    with pytest.raises(pytest.fail.Exception) as failed:
        host.run("true")
    assert str(failed.value) == "web1: ssh: \\x1b]0;owned\\x07gone"
