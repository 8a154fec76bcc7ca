"""Backups of the apps' databases and shared folders."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from provision.inventory import host_keys, pem
from provision.inventory.fields import File, Text, Whole, matching, parsed_by, parsed_from
from provision.inventory.model import Context, Model, loaded
from provision.inventory.schedule import Time, daily
from provision.inventory.source import HostKeyLine

FOLDER = r"/[A-Za-z0-9_.@+-]+(/[A-Za-z0-9_.@+-]+)*"
SFTP = rf"sftp://(?P<user>[a-z_][a-z0-9_-]*)@(?P<host>[A-Za-z0-9.-]+)(:(?P<port>\d{{1,5}}))?(?P<folder>{FOLDER})"
S3 = rf"s3://(?P<endpoint>[A-Za-z0-9.-]+(:\d{{1,5}})?)/(?P<bucket>[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9])(?P<folder>{FOLDER})"


class SftpServer(NamedTuple):
    """Where backups go by SFTP."""

    user: str
    host: str
    port: int


class S3Bucket(NamedTuple):
    """Where backups go by S3."""

    endpoint: str
    name: str


def _repository(value: str) -> str:
    if (
        not any(re.fullmatch(each, value) for each in (FOLDER, SFTP, S3))
        or "/../" in f"{value}/"
        or "/./" in f"{value}/"
    ):
        raise ValueError(
            f'"{value}" is not a repository; write a folder of the server, such as /mnt/backups, sftp://USER@HOST/FOLDER, or'
            " s3://HOST/BUCKET/FOLDER"
        )
    return value


class Backups(Model):
    """Backups of the databases of apps with `database`, by pgBackRest: full and differential ones at set times, and in between all
    that PostgreSQL writes (its WAL), so that any moment can be restored. And at those times, of `shared/` of each app, by restic. All of it
    is encrypted (AES-256) before it leaves the server.

    It has many fields because a flat mapping is easier to write and to merge than a deep one.
    """

    repository: Annotated[str, AfterValidator(_repository)] = Field(
        description="Where backups are kept: s3://HOST:PORT/BUCKET/FOLDER (over HTTPS), sftp://USER@HOST:PORT/FOLDER, or a folder of the server,"
        " which must be on another machine's disk (a mount) if it is to survive this one's. For databases, SFTP needs pgBackRest 2.46 or"
        " newer, which Debian has from 13 on.",
        examples=["sftp://backups@storage.example.com/backups"],
    )
    passphrase: Annotated[
        Text,
        matching(
            r"[!-~]{16,200}", "a passphrase is 16 to 200 characters without spaces; openssl rand -base64 32 makes one"
        ),
    ] = Field(
        description="What the backups are encrypted with. Use `!secret`, and keep it elsewhere, too: without it, no backup can be read. It"
        " cannot be changed for backups that there are.",
        examples=["bm8gYmFja3VwIGNhbiBiZSByZWFkIHdpdGhvdXQ="],
        repr=False,
    )
    key: Annotated[File, parsed_by(pem.deploy_key)] | None = Field(
        default=None,
        description="With SFTP: the private key to log in with, a file without a passphrase, relative to this inventory, or `!secret`.",
        examples=["backups_key"],
    )
    host_key: Annotated[list[HostKeyLine], BeforeValidator(host_keys.lines)] = Field(
        default_factory=list,
        description="With SFTP: the host keys of the repository's server, lines as `ssh-keyscan HOST` prints them. No other is accepted.",
        examples=[
            ["storage.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"]
        ],
    )
    region: Annotated[
        Text, matching(r"[A-Za-z0-9-]{1,60}", '"{}" is not a region of S3; write for example eu-central-1')
    ] = Field(
        default="us-east-1",
        description="With S3: the bucket's region. Servers other than Amazon's mostly take any.",
        examples=["eu-central-1"],
    )
    access_key: Annotated[Text, matching(r"[!-~]{1,200}", "an access key has no spaces")] | None = Field(
        default=None,
        description="With S3: the id of the access key (AWS_ACCESS_KEY_ID). Use `!secret`.",
        examples=["AKIAIOSFODNN7EXAMPLE"],
        repr=False,
    )
    secret_key: (
        Annotated[Text, matching(r"[!-~]{8,200}", "a secret key is 8 to 200 characters without spaces")] | None
    ) = Field(
        default=None,
        description="With S3: the secret of the access key (AWS_SECRET_ACCESS_KEY). Use `!secret`.",
        examples=["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
        repr=False,
    )
    full: Time = Field(
        default="Sun 02:30", description="When to make full backups, a calendar expression.", examples=["Sun 02:30"]
    )
    differential: Time = Field(
        default="Mon..Sat 02:30",
        description="When to back up what has changed since the last full backup, a calendar expression. Of `shared/`, a snapshot is made at both times.",
        examples=["Mon..Sat 02:30"],
    )
    keep: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=4,
        description="How many full backups to keep, each with what depends on it; any moment since the oldest can be restored.",
        examples=[4],
    )
    check: Time = Field(
        default="hourly",
        description="When to see that what PostgreSQL writes arrives in the repository, and that restic can read that. `status` and `verify` tell what came of it.",
        examples=["hourly"],
    )
    drill: Time = Field(
        default="Sun 05:00",
        description="When to restore the newest backups beside the databases and folders, check them, and drop them again.",
        examples=["Sun 05:00"],
    )
    max_age: Annotated[Whole, Field(ge=1, le=10000)] = Field(
        default=30,
        description="How old the last backup may be, in hours, before `status` and `verify` complain.",
        examples=[30],
    )
    max_drill_age: Annotated[Whole, Field(ge=1, le=10000)] = Field(
        default=200, description="How old the last good drill may be, in hours, likewise.", examples=[200]
    )
    private_key: Annotated[str, parsed_from("key", pem.deploy_key)] = loaded("")
    """The text of the file that `key` names; empty if it names none. Never print it."""

    @property
    def sftp(self) -> SftpServer | None:
        """The server that has the repository, by SFTP."""
        found = re.fullmatch(SFTP, self.repository)
        return SftpServer(found["user"], found["host"], int(found["port"] or 22)) if found else None

    @property
    def s3(self) -> S3Bucket | None:
        """The bucket that has the repository."""
        found = re.fullmatch(S3, self.repository)
        return S3Bucket(found["endpoint"], found["bucket"]) if found else None

    @property
    def folder(self) -> str:
        """The repository's folder, wherever it is."""
        found = re.fullmatch(SFTP, self.repository) or re.fullmatch(S3, self.repository)
        return found["folder"] if found else self.repository

    @property
    def local(self) -> str:
        """The repository's folder, if it is one of the server itself; otherwise empty."""
        return "" if self.sftp or self.s3 else self.repository

    def calendar(self, name: str) -> str:
        """When the timer of this name goes off, as systemd's OnCalendar writes it."""
        at: str = getattr(self, name)
        return daily(at)

    @model_validator(mode="after")
    def _is_whole(self, info: ValidationInfo) -> Backups:
        if Context.of(info).partial:
            return self
        if not self.sftp and (self.key or self.host_key):
            raise ValueError("key and host_key are for a repository at sftp://; write that, or remove them")
        if not self.s3 and (self.access_key or self.secret_key):
            raise ValueError("access_key and secret_key are for a repository at s3://; write that, or remove them")
        if self.s3 and not (self.access_key and self.secret_key):
            raise ValueError("a repository at s3:// needs access_key and secret_key")
        if self.sftp:
            if not (self.key and self.host_key):
                raise ValueError(
                    "a repository at sftp:// needs key and host_key: a private key, and what ssh-keyscan prints"
                )
            host_keys.check_names(self.host_key, self.sftp.host, self.sftp.port)
        return self
