"""One server, and everything that is wanted of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from provision.inventory import reserved
from provision.inventory.addresses import ip_address, network, ssh_address
from provision.inventory.app import App
from provision.inventory.backups import Backups
from provision.inventory.fields import File, Name, Text, Whole, distinct, matching
from provision.inventory.hardening import Hardening
from provision.inventory.mirrors import Mirrors
from provision.inventory.model import Model
from provision.inventory.postgresql import PostgreSQL
from provision.inventory.rollout import Rollout
from provision.inventory.tls import TLS
from provision.inventory.wording import suggestion

Role = Literal["base", "python", "app", "web", "tls"]
ROLES: tuple[Role, ...] = ("base", "python", "app", "web", "tls")


def _address(value: str, info: ValidationInfo) -> str:
    if "connect" not in info.data:
        return value
    if info.data["connect"] != "vagrant":
        if not value:
            raise PydanticCustomError("missing", "missing")
        return ssh_address(value)
    if value:
        raise ValueError("the address of a machine comes from Vagrant; remove it, or connect: vagrant")
    return value


def _timezone(value: str) -> str:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        known = zoneinfo.available_timezones()
        if known or not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", value):
            hint = suggestion(value, known) or "; write for example Europe/Berlin"
            raise ValueError(f'"{value}" is not a time zone{hint}') from None
    return value


def _in_order(roles: list[Role]) -> list[Role]:
    return sorted(roles, key=ROLES.index)


User = Annotated[Text, matching(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", '"{}" is not a user name; write for example root')]
JumpHost = Annotated[
    str,
    matching(
        r"([A-Za-z_][\w.-]*@)?([A-Za-z0-9_][\w.-]*|\[[0-9a-fA-F:]+\])(:\d{1,5})?",
        '"{}" is not a jump host; write USER@HOST:PORT or a name from ssh_config',
    ),
]
Package = Annotated[
    str, matching(r"[a-z0-9][a-z0-9+.-]+", '"{}" is not the name of a package; write for example postgresql')
]
Locale = Annotated[
    str,
    matching(
        r"[A-Za-z]{1,8}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?",
        '"{}" is not a locale; write for example C.UTF-8 or en_US.UTF-8',
    ),
]


class Host(Model):
    """One server.

    It has many fields because a flat mapping is easier to write and to merge than a deep one.
    """

    name: Name = Field(exclude=True)
    """The host's key under `hosts`."""
    connect: Literal["ssh", "vagrant"] = Field(
        default="ssh",
        description="How to connect. ssh: to the `address`; vagrant: to the machine with the host's name in the Vagrantfile above"
        " this inventory. `vagrant ssh-config` supplies its address, port, user and key; its host key is pinned on first"
        " contact.",
        examples=["ssh"],
    )
    address: Annotated[str, AfterValidator(_address)] = Field(
        default="",
        validate_default=True,
        description="DNS name or IP address to connect to; required except with `connect: vagrant`.",
        examples=["203.0.113.10"],
    )
    private_address: Annotated[str, AfterValidator(ip_address)] | None = Field(
        default=None,
        description="The host's IP address in a network that it shares with other hosts: databases on other hosts are reached there, and from"
        " there (`apps.NAME.database.host`). If omitted: its `address`.",
        examples=["10.0.0.10"],
    )
    port: Whole = Field(default=22, ge=1, le=65535, description="SSH port.", examples=[22])
    user: User = Field(default="root", description="User to log in as.", examples=["root"])
    key: File | None = Field(
        default=None,
        description="SSH private key: a path that begins with ~, or is relative to this inventory. If omitted: the keys of the"
        " agent and of ssh_config.",
        examples=["~/.ssh/id_ed25519"],
    )
    agent: bool = Field(default=True, description="Offer the keys of the SSH agent.", examples=[True])
    proxy_jump: JumpHost | None = Field(
        default=None,
        description="Jump host to connect through, as USER@HOST:PORT or a name from ssh_config.",
        examples=["jump@bastion.example.com:22"],
    )
    host_key: (
        Annotated[
            str,
            matching(
                r"SHA256:[A-Za-z0-9+/]{43}", '"{}" is not a fingerprint; write SHA256:..., as ssh-keygen -l prints it'
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="The fingerprint of the server's host key, with which `invoke bootstrap` compares what the server shows before it"
        " pins that. If omitted: it asks.",
        examples=["SHA256:uNiVztksCsDhcc0u9e8BrrNXVHTfmVXmFXC2/hhF5RI"],
    )
    known_hosts: File | None = Field(
        default=None,
        description="known_hosts file with the server's key. If omitted: your own.",
        examples=["known_hosts"],
    )
    become: Literal["auto", "none", "sudo", "sudo-password"] = Field(
        default="auto",
        description="How to become root: none (log in as root), sudo (without a password), or sudo-password (asked for once)."
        " auto: none for root, sudo for other users.",
        examples=["auto"],
    )
    environment: Literal["development", "staging", "production"] | None = Field(
        default=None,
        description="What the server is for. Before deploy, provision, promote, rollback, restart or remove changes anything in production,"
        " it shows what, and the name of --host has to be typed; with --yes it does not ask.",
        examples=["production"],
    )
    groups: list[Name] = Field(
        default_factory=list,
        description="Groups that the host is in; later groups override earlier ones.",
        examples=[["web"]],
    )
    roles: Annotated[list[Role], AfterValidator(distinct), AfterValidator(_in_order)] = Field(
        min_length=1,
        default_factory=lambda: list(ROLES),
        description="What is put on the server. The order is fixed.",
        examples=[list(ROLES)],
    )
    packages: list[Package] = Field(
        default_factory=list,
        description="Additional system packages to install.",
        examples=[["htop", "ffmpeg"]],
    )
    timezone: Annotated[str, AfterValidator(_timezone)] | None = Field(
        default=None,
        description="The server's time zone; without it, the one that the server has stays.",
        examples=["Etc/UTC"],
    )
    locale: Locale | None = Field(
        default=None,
        description="The server's locale; without it, the one that the server has stays.",
        examples=["C.UTF-8"],
    )
    connect_timeout: Whole = Field(
        default=10, ge=1, le=600, description="Seconds to wait for a connection (1 to 600).", examples=[10]
    )
    apps: dict[Annotated[str, AfterValidator(reserved.app_name)], App] = Field(
        default_factory=dict,
        description="The server's apps, by name: a-z, 0-9 and -, at most 26 characters. The app's system user has the same name.",
        examples=[{}],
    )
    trusted_proxies: Annotated[list[Annotated[str, AfterValidator(network)]], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="Proxies in front of the server, as networks or addresses. What they say of a client (X-Forwarded-For) is believed: it"
        " is the client for limits, logs and the app. What others say is not.",
        examples=[["10.0.0.0/8"]],
    )
    hardening: Hardening = Field(
        default_factory=Hardening,
        description="What is done so that the server is safe: the keys of Hardening.",
        examples=[{}],
    )
    postgresql: PostgreSQL = Field(
        default_factory=PostgreSQL,
        description="PostgreSQL, where apps have a `database`: the keys of PostgreSQL.",
        examples=[{}],
    )
    tls: TLS = Field(default_factory=TLS, description="Certificates: the keys of TLS.", examples=[{}])
    backups: Backups | None = Field(
        default=None,
        description="Backups of the apps' databases and `shared/` folders: a mapping with the keys of Backups. If omitted: none.",
        examples=[
            {
                "repository": "/mnt/backups",
                "passphrase": "bm8gYmFja3VwIGNhbiBiZSByZWFkIHdpdGhvdXQ=",
            }
        ],
    )
    rollout: Rollout = Field(
        default_factory=Rollout,
        description="Activation on several hosts: the keys of Rollout. The first host's values apply to all.",
        examples=[{}],
    )
    mirrors: Mirrors = Field(
        default_factory=Mirrors,
        description="Alternative sources to fetch from: the keys of Mirrors.",
        examples=[{}],
    )
    forwarded: dict[int, int] = Field(default_factory=dict, exclude=True)
    """The server's ports that clients reach under another number at its address, and those numbers."""
    serves: dict[str, str] = Field(default_factory=dict, exclude=True)
    """The apps on other hosts whose databases this one has, and the query that a drill asks each; empty for none."""
    hidden: frozenset[str] = Field(default=frozenset(), exclude=True, repr=False)
    """The values that references led to. Never print them."""

    @field_validator("port", "user", "key", "proxy_jump", "known_hosts")
    @classmethod
    def _not_for_vagrant(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("connect") == "vagrant":
            raise ValueError("with connect: vagrant, this comes from Vagrant; remove one of the two")
        return value

    @model_validator(mode="after")
    def _limits_egress_if_it_says_so(self) -> Host:
        if not self.hardening.wants("egress"):
            one = next((app.name for app in self.apps.values() if app.egress.local or app.egress.to is not None), "")
            if one:
                raise ValueError(
                    f"egress of {one} has no effect without hardening: {{egress: true}}: add that, or remove it"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def _name_apps(cls, data: Any) -> Any:
        """Give each app its name, and put the host's in place of {host} in its domains."""
        if not isinstance(data, dict) or not isinstance(data.get("apps"), dict):
            return data
        host, apps = str(data.get("name")), {}
        for name, app in data["apps"].items():
            apps[name] = app
            if isinstance(app, dict):
                apps[name] = {**app, "name": name}
                if isinstance(domains := app.get("domains"), list):
                    filled = [item.replace("{host}", host) if isinstance(item, str) else item for item in domains]
                    apps[name]["domains"] = filled
        return {**data, "apps": apps}
