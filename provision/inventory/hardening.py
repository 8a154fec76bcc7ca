"""What is done so that a server is safe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.inventory.model import Model

Part = Literal["ssh", "firewall", "fail2ban", "updates", "system", "nginx"]


class Hardening(Model):
    """What is done so that the server is safe. Each part can be chosen by itself; nothing is changed that is not asked for."""

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
    firewall: bool | None = Field(
        default=None,
        description="The kernel's firewall (nftables) is closed to all but SSH, and HTTP and HTTPS where the server has sites.",
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
        description="Safe settings of the kernel, the journal, the clock and the processes.",
        examples=[True],
    )

    nginx: bool | None = Field(
        default=None,
        description="nginx runs in a sandbox of systemd's: of the disk it writes to its logs and caches only.",
        examples=[True],
    )

    def wants(self, part: Part) -> bool:
        """Whether a part is asked for."""
        chosen: bool | None = getattr(self, part)
        return self.all if chosen is None else chosen
