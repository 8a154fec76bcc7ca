"""What must be known of the apps on a server before a plan is made: releases, previews, pushed commits, managed files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from provision.engine.facts import Fact
from provision.engine.resource import Record
from provision.release import shell
from provision.untrusted import PATH, word

APP = "[a-z][a-z0-9-]{0,31}"
TOKEN = "[A-Za-z0-9_-]{1,128}"
ReleaseState = Literal["active", "good", "failed", "new"]


@dataclass(frozen=True, slots=True)
class ServerRelease:
    """A release that is complete on the server's disk: it serves, has served, has failed, or is yet to serve.

    `settings` is what it ran with, as release/settings.py writes it; empty if that is not known.
    """

    app: str
    id: str
    commit: str
    folder: str
    state: ReleaseState
    settings: str = ""

    @property
    def active(self) -> bool:
        """Whether it is the release that serves."""
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class PreviewedRelease:
    """A release that can be looked at, beside the one that serves, with its token."""

    release: str
    token: str


@dataclass(frozen=True, slots=True)
class ManagedFile:
    """A file of an app that its process manager reads."""

    app: str
    path: str


@dataclass(frozen=True, slots=True)
class DoneMigration:
    """A migration that a release made; `what` says from where to where, or by which command."""

    app: str
    release: str
    what: str


def _releases(records: Sequence[Record]) -> tuple[ServerRelease, ...]:
    for each in records:
        word(each, "app", APP)
        word(each, "id")
        word(each, "state", "active|good|failed|new")
    return tuple(ServerRelease(**each) for each in records)  # type: ignore[arg-type]


def _previews(records: Sequence[Record]) -> Mapping[str, PreviewedRelease]:
    return {
        word(each, "app", APP): PreviewedRelease(word(each, "release"), word(each, "token", TOKEN)) for each in records
    }


def _files(records: Sequence[Record]) -> tuple[ManagedFile, ...]:
    return tuple(ManagedFile(word(each, "app", APP), word(each, "path", PATH)) for each in records)


def _pushed(records: Sequence[Record]) -> Mapping[str, str]:
    return {word(each, "app", APP): word(each, "commit") for each in records}


def _known(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(sorted({word(each, "app", APP) for each in records}))


def _migrations(records: Sequence[Record]) -> tuple[DoneMigration, ...]:
    return tuple(DoneMigration(**each) for each in records)


def _hardened(records: Sequence[Record]) -> frozenset[str]:
    return frozenset(word(each, "part", "system|updates|auditing") for each in records)


RELEASES = Fact("release", "release_facts", shell.FACTS, _releases)
PREVIEWS = Fact("preview", "preview_facts", shell.FACTS, _previews)
MANAGED = Fact("managed", "managed_facts", shell.FACTS, _files)
MIGRATIONS = Fact("migration", "migration_facts", shell.FACTS, _migrations)
# The apps that the server has a record of, or data of with the user who owns it, by name.
KNOWN = Fact("known", "known_facts", shell.FACTS, _known)
# The commit that each app was last sent by the controller.
PUSHED = Fact("pushed", "pushed_facts", shell.FACTS, _pushed)
# The parts of `hardening` of which the server has something.
HARDENED = Fact("hardened", "hardened_facts", shell.FACTS, _hardened)
