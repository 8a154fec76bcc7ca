"""What is done so that a server is safe."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from provision.inventory.addresses import network
from provision.inventory.fields import Text, Whole, distinct, matching
from provision.inventory.model import Model

Part = Literal["ssh", "firewall", "egress", "fail2ban", "updates", "system", "auditing", "nginx"]
Setting = Annotated[
    str, matching(r"[A-Za-z][A-Za-z0-9]{1,40}", '"{}" is not a setting of sshd; write for example AllowUsers')
]
Value = Annotated[Text, matching(r"[ -~]{1,1000}", "a setting of sshd is one line of plain text")]
PublicKey = Annotated[
    str,
    matching(
        r"(ssh-|sk-ssh-|ecdsa-|sk-ecdsa-)[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( [ -~]{0,200})?",
        '"{}" is not a public key; write the line of a .pub file',
    ),
]
Notice = Annotated[
    Text,
    matching(
        r"[ -\[\]-~\n]{1,2000}",
        "a notice is up to 2,000 characters of plain text, without backslashes, which getty expands",
    ),
]
Port = Annotated[Whole, Field(ge=1, le=65535)]


class Hardening(Model):
    """What is done so that the server is safe. Each part can be chosen by itself; nothing is changed that is not asked for.

    It has many fields because a flat mapping is easier to write and to merge than a deep one.
    """

    all: bool = Field(
        default=False,
        description="All parts, but those that are false.",
        examples=[True],
    )
    ssh: bool | None = Field(
        default=None,
        description="sshd lets nobody in by password, or as root once another user works, and offers modern algorithms only.",
        examples=[True],
    )
    ssh_settings: dict[Setting, Value] = Field(
        default_factory=dict,
        description="More settings of sshd, or other values for those of `ssh`, by sshd_config's names. They stay only if a new login succeeds"
        " with them.",
        examples=[{"AllowUsers": "deploy"}],
    )
    ssh_keys: list[PublicKey] = Field(
        default_factory=list,
        description="Public keys: if there are any, only they let the host's user in, whatever is in its home.",
        examples=[["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fQ1yQ2bzv1zPq0v4vR8zC4oKkqgkS2yq1mX3J8b7K me@laptop"]],
    )
    firewall: bool | None = Field(
        default=None,
        description="The kernel's firewall (nftables) is closed to all but SSH, and HTTP and HTTPS where the server has sites.",
        examples=[True],
    )
    open: Annotated[list[Port], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="Other TCP ports that the firewall leaves open.",
        examples=[[5432]],
    )
    ssh_from: Annotated[list[Annotated[str, AfterValidator(network)]], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="The networks or addresses from which SSH can be reached through the firewall. If omitted: all.",
        examples=[["203.0.113.0/24"]],
    )
    egress: bool | None = Field(
        default=None,
        description="Apps and their builds reach no metadata address of a cloud, and on the server itself only what `egress` of the app names"
        " (nftables).",
        examples=[True],
    )
    fail2ban: bool | None = Field(
        default=None,
        description="Whoever fails to log in again and again is kept out for a while (fail2ban).",
        examples=[True],
    )
    updates: bool | None = Field(
        default=None,
        description="Security updates are installed every day (unattended-upgrades).",
        examples=[True],
    )
    system: bool | None = Field(
        default=None,
        description="Safe settings of the kernel, its modules, the journal, the clock, the processes, passwords and idle shells.",
        examples=[True],
    )
    auditing: bool | None = Field(
        default=None,
        description="What changed in the system's files is noted in the journal every day (AIDE, debsums).",
        examples=[True],
    )

    reboot: str | None = Field(
        default=None,
        description='When the server may reboot after an update that needs that, in its own time zone: "HH:MM". Needs'
        " `updates`. If omitted: it does not reboot by itself, and `invoke status` says when it should.",
        examples=["04:00"],
    )

    notice: Notice | None = Field(
        default=None,
        description="What whoever connects reads before logging in: at the console (/etc/issue) and, with `ssh`, over SSH (/etc/issue.net).",
        examples=["Authorized users only. Access to this private system is monitored and recorded."],
    )

    logins: list[str] = Field(
        default_factory=list,
        description="Users who log in to the server besides the host's `user`, and may use sudo: `invoke audit` does not name them.",
        examples=[["ops"]],
    )

    @field_validator("reboot", mode="before")
    @classmethod
    def _time(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value)):
            raise ValueError(f'{value} is not a time of day; write for example "04:00"')
        return value

    @model_validator(mode="after")
    def _reboots_after_updates(self) -> Hardening:
        if self.reboot is not None and not self.wants("updates"):
            raise ValueError("reboot is for updates, and there are none: write updates: true, or remove reboot")
        return self

    nginx: bool | None = Field(
        default=None,
        description="nginx runs in a sandbox of systemd's: of the disk it writes to its logs and caches only.",
        examples=[True],
    )

    def wants(self, part: Part) -> bool:
        """Whether a part is asked for."""
        chosen: bool | None = getattr(self, part)
        return self.all if chosen is None else chosen

    @model_validator(mode="after")
    def _of_parts(self) -> Hardening:
        for part, keys in (("ssh", ("ssh_settings", "ssh_keys")), ("firewall", ("open", "ssh_from"))):
            useless = next((key for key in keys if getattr(self, key)), None)
            if useless and not self.wants(part):  # type: ignore[arg-type]
                raise ValueError(f"{useless} belongs to a part that is not asked for: add {part}: true")
        return self
