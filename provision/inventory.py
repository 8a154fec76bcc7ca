"""What the user declares: hosts, groups and apps, read from YAML and checked before any connection."""

from __future__ import annotations

import difflib
import ipaddress
import logging
import os
import re
import types
import typing
import zoneinfo
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

import yaml
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

log = logging.getLogger(__name__)

Role = Literal["base", "python", "app", "web", "tls"]
ROLES: tuple[Role, ...] = ("base", "python", "app", "web", "tls")

SYSTEM_USERS = """
    _apt adm audio avahi backup bin cdrom crontab current daemon dbus default dialout dip disk docker
    fax floppy ftp games git gnats gunicorn input irc kmem kvm landscape list lp mail man messagebus
    mysql netdev news nginx nobody nogroup ntp operator plugdev polkitd pollinate postfix postgres
    provision proxy pyenv redis render root sasl sgx shadow src ssh sshd ssl-cert staff sudo sync sys
    syslog systemd tape tcpdump tss tty users utmp uucp uuidd video voice wheel www-data
    alternatives apparmor apt ca-certificates certbot cloud credstore cron default dpkg emacs environment fonts fstab
    group hostname hosts init init.d iproute2 issue kernel ld letsencrypt libvirt locale lock log logrotate lvm machine-id
    modprobe modules motd mount mtab network networks nftables opt pam passwd perl profile protocols python3 repository
    resolv rpc secrets security selinux services shells skel ssl subgid subuid supervisor sysctl terminfo timezone tmpfiles
    udev ufw update-motd user vim xdg
"""
RESERVED = frozenset(SYSTEM_USERS.split())


class InventoryError(Exception):
    """What is wrong with an inventory: one line each in `errors`, "path:line: message; suggestion"."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


@dataclass(slots=True)
class Context:
    """What validation may know of the controller. A partial one is for a layer: no files, no secrets."""

    environ: Mapping[str, str]
    partial: bool = False
    env_files: dict[Path, dict[str, str]] = field(default_factory=dict)


def _context(info: ValidationInfo) -> Context:
    return info.context if isinstance(info.context, Context) else Context(os.environ)


def _matching(pattern: str, message: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(message.replace("{}", value))
        return value

    return AfterValidator(check)


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"-?\d{1,18}", str(value)):
        raise ValueError(f"{_shown(value)} is not a whole number; write digits only")
    return int(value)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _relative(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not re.fullmatch(r"[\w./+@ -]+", value) or value[0] in "-~":
        raise ValueError(f'"{value}" is not a folder inside the repository; write a relative path without ".."')
    return str(path)


def _repository(value: str) -> str:
    url = re.fullmatch(r"(https?|ssh|git|file)://[^\s'\"\\]+", value)
    scp = re.fullmatch(r"([\w.-]+@)?[\w.-]+:[^\s:'\"\\][^\s'\"\\]*", value) and "://" not in value and value[0] != "-"
    if not (url or scp or re.fullmatch(r"/[^\s'\"\\]+", value)):
        raise ValueError("not a git repository; write https://HOST/PATH, ssh://HOST/PATH, git@HOST:PATH or /PATH")
    if url and re.match(r"[a-z]+://[^/@]*:[^/@]*@", value):
        raise ValueError(
            "a password in a repository's address would be seen on the server; use an SSH address and a key"
        )
    return value


def _version(value: object) -> object:
    text = _text(value)
    if not isinstance(text, str):
        return text
    if re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{text} is not a full Python version; write all three parts and quote it: '3.13.5'")
    if re.fullmatch(r"3\.\d+\.\d+-?(a|b|c|rc|dev)\.?\d*", text):
        raise ValueError(f"{text} is not a final release; write for example '3.13.5'")
    match = re.fullmatch(r"3\.(\d{1,3})\.(\d{1,3})", text)
    if not match:
        raise ValueError(f"{_shown(text)} is not a version of CPython 3; write for example '3.13.5'")
    if int(match[1]) < 9:
        raise ValueError(f"Python {text} is too old for FastAPI; use 3.9.0 or newer, for example '3.13.5'")
    return text


def _requirements(value: str) -> str:
    name = PurePosixPath(value).name
    known = name in ("pyproject.toml", "uv.lock") or re.fullmatch(r"requirements[\w.-]*\.txt", name)
    if value != "auto" and not known:
        raise ValueError(
            f'"{value}" is no requirements file; write auto, a requirements*.txt, pyproject.toml or uv.lock'
        )
    return _relative(value)


def _workers(value: object) -> object:
    if value == "auto":
        return value
    number = _whole(value) if re.fullmatch(r"\d{1,3}", str(value)) else None
    if not isinstance(number, int) or not 1 <= number <= 256:
        raise ValueError(f"{_shown(value)} is not a number of workers; write auto or 1 to 256")
    return number


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("not the name of an environment variable; use letters, digits and _ only")
    return value


def _single_line(value: str) -> str:
    if "\0" in value or "\n" in value or "\r" in value:
        raise ValueError("the value has a line break or a NUL; put it in one line, for example as base64")
    return value


def _environment(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise ValueError("not a single value; write text, a number, true or false")
    return _single_line(str(value))


def _secret(name: str, info: ValidationInfo) -> str:
    _variable(name)
    context = _context(info)
    if context.partial:
        return name
    if name not in context.environ:
        raise ValueError(f"{name} is not set in the environment of this machine; export {name}=...")
    try:
        _single_line(context.environ[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return name


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _existing(path: Path, info: ValidationInfo) -> Path:
    path = _expanded(path)
    if _context(info).partial:
        return path
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file")
    if not path.is_file():
        raise ValueError(f"there is no file {path}; correct the path (relative ones start at the inventory's folder)")
    return path


def _env_file(path: Path, info: ValidationInfo) -> Path:
    path = _existing(path, info)
    context = _context(info)
    if not context.partial and path not in context.env_files:
        context.env_files[path] = _dotenv(path)
    return path


def _dotenv(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
        values = dotenv_values(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    for binding in bindings:
        line = binding.original.line
        if binding.error or (binding.key is not None and binding.value is None):
            raise ValueError(f"line {line} of {path} is not NAME=value; correct that line")
        if binding.key is not None:
            try:
                _variable(binding.key)
                _single_line(values[binding.key] or "")
            except ValueError as error:
                raise ValueError(f"line {line} of {path}: {error}") from None
    return {name: value or "" for name, value in values.items()}


LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def _domain(value: str) -> str:
    if "*" in value:
        raise ValueError(f'"{value}" is a wildcard, and HTTP-01 gives no certificate for those; list each name')
    if "://" in value or "/" in value:
        raise ValueError(f'"{value}" is a URL; write the DNS name alone')
    if _is_ip(value):
        raise ValueError(f"{value} is an IP address; write a DNS name that points to it")
    try:
        name = value.rstrip(".").lower()
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        name = ""
    if len(name) > 253 or not re.fullmatch(rf"({LABEL}\.)*{LABEL}", name) or name.rpartition(".")[2].isdigit():
        raise ValueError(f'"{value}" is not a DNS name; write for example shop.example.com')
    return name


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _address(value: str) -> str:
    value = value.removeprefix("[").removesuffix("]")
    if _is_ip(value):
        return value
    user, at, rest = value.rpartition("@")
    if at and user:
        raise ValueError(f'"{value}" names a user; write user: {user} and address: {rest}')
    host, colon, port = value.rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        raise ValueError(f'"{value}" names a port; write port: {port} and address: {host}')
    if not re.fullmatch(r"(?!-)[A-Za-z0-9_.-]{1,253}", value) or re.fullmatch(r"[\d.]+", value):
        raise ValueError(f'"{value}" is neither a DNS name nor an IP address; write for example 203.0.113.10')
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"[\s'\"\\]", value):
        raise ValueError("not a web address; write https://HOST/PATH")
    return value


ISSUERS = ("letsencrypt", "letsencrypt-staging", "self-signed")


def _issuer(value: str) -> str:
    if value not in ISSUERS and not re.fullmatch(r"https://[^\s'\"\\/]+(/[^\s'\"\\]*)?", value):
        raise ValueError(
            f'"{value}" is not an issuer; write {", ".join(ISSUERS)} or the https:// URL of an ACME directory'
            + _meant(value, ISSUERS)
        )
    return value


def _prefix(value: str) -> str:
    if not re.fullmatch(r"(/[\w.~-]+)+/?", value) or "/../" in f"{value}/":
        raise ValueError(f'"{value}" is not a URL prefix; write for example /static')
    return value.rstrip("/")


def _health_path(value: str) -> str:
    if not re.fullmatch(r"/[^\s'\"\\;{}$`]*", value):
        raise ValueError(f'"{value}" is not a path; begin it with / and leave out spaces and quotes')
    return value


def _migrate(value: object) -> object:
    if isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return value.lower() in ("yes", "on", "true")
    if not isinstance(value, bool) and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{_shown(value)} is not a migration; write true, false or a command")
    return _single_line(value) if isinstance(value, str) else value


def _batch(value: object) -> object:
    text = str(value)
    if not (re.fullmatch(r"[1-9]\d{0,3}", text) or re.fullmatch(r"[1-9]\d?%|100%", text)):
        raise ValueError(f'"{text}" is no batch; write a number of hosts such as 2, or a percentage such as 25%')
    return text if text.endswith("%") else int(text)


def _timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        known = zoneinfo.available_timezones()
        if known or not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", value):
            hint = _meant(value, known) or "; write for example Europe/Berlin"
            raise ValueError(f'"{value}" is not a time zone{hint}') from None
    return value


def _roles(value: list[Role]) -> list[Role]:
    for role in value:
        if value.count(role) > 1:
            raise ValueError(f"{role} is listed twice; keep one")
    return sorted(value, key=ROLES.index)


def _distinct(value: list[str]) -> list[str]:
    for item in value:
        if value.count(item) > 1:
            raise ValueError(f"{item} is listed twice; keep one")
    return value


def _app_name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", value):
        raise ValueError(
            f'"{value}" is not an app name; use a-z, 0-9 and -, begin with a letter, at most 31 characters'
        )
    if value in RESERVED or value.startswith("systemd-"):
        raise ValueError(
            f'"{value}" is a name that the system has itself; choose another, for example {value[:27]}-app'
        )
    return value


def _meant(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(words), 1, 0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


Text = Annotated[str, BeforeValidator(_text)]
Whole = Annotated[int, BeforeValidator(_whole)]
File = Annotated[Path, AfterValidator(_existing)]
Variable = Annotated[str, AfterValidator(_variable)]
Url = Annotated[str, AfterValidator(_url)]
Repository = Annotated[str, AfterValidator(_repository)]
RelativeFolder = Annotated[str, AfterValidator(_relative)]
Revision = Annotated[
    Text,
    _matching(r"[A-Za-z0-9_][\w./@^~+-]*", '"{}" is not a git revision; write a branch, a tag or a commit'),
]
Name = Annotated[
    str,
    _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", '"{}" is not a name; use letters, digits, dot, _ and - only'),
]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    shorthand: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        return {cls.shorthand: data} if cls.shorthand and isinstance(data, str | int | float) else data


class Source(Model):
    """Where the app's code comes from. A string alone is the repository."""

    shorthand: ClassVar[str] = "repository"

    repository: Repository = Field(
        description="Git repository, as this machine and the server reach it: a URL or git@HOST:PATH.",
        examples=["https://git.example.com/shop.git"],
        repr=False,
    )
    revision: Revision = Field(
        default="HEAD",
        description="Branch, tag or commit to deploy; `--revision` on the command line wins.",
        examples=["main"],
    )
    folder: RelativeFolder = Field(
        default=".",
        description="Folder of the app inside the repository; the app runs there.",
        examples=["."],
    )


class Python(Model):
    """The app's own Python, built by pyenv. A string alone is the version."""

    shorthand: ClassVar[str] = "version"

    version: Annotated[str, BeforeValidator(_version)] = Field(
        default="3.13.5",
        description="Exact version of CPython, a final release from 3.9 on. Quote it.",
        examples=["3.13.5"],
    )
    optimized: bool = Field(
        default=False,
        description="Build with profile-guided and link-time optimization: faster, but long to build.",
        examples=[False],
    )
    cache: bool = Field(
        default=True,
        description="Keep a built Python and use it on other servers of the same system.",
        examples=[True],
    )

    @property
    def name(self) -> str:
        """As one word: 3.13.5, or 3.13.5-optimized."""
        return f"{self.version}-optimized" if self.optimized else self.version


class Health(Model):
    """How a release shows that it is fit for traffic. A string alone is the path."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[str, AfterValidator(_health_path)] = Field(
        default="/health",
        description="URL path that answers 200 once the app can take requests.",
        examples=["/health"],
    )
    timeout: Whole = Field(
        default=30,
        ge=1,
        le=600,
        description="Seconds until a new release must be healthy (1 to 600); one that is not is undone.",
        examples=[30],
    )


class App(Model):
    """One FastAPI app: its own user, folder, Python environment, service and site."""

    source: Source = Field(
        description="Where the code comes from: a repository, or a mapping with the keys of Source.",
        examples=["https://git.example.com/shop.git"],
    )
    module: Annotated[
        str,
        _matching(
            r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*",
            '"{}" is not an ASGI app; write package.module:attribute, for example shop.main:app',
        ),
    ] = Field(description="The ASGI app, as package.module:attribute.", examples=["shop.main:app"])
    python: Python = Field(
        default_factory=Python,
        description="The Python to run with: a version, or a mapping with the keys of Python.",
        examples=["3.13.5"],
    )
    requirements: Annotated[str, AfterValidator(_requirements)] = Field(
        default="auto",
        description="What to install: a requirements*.txt, pyproject.toml or uv.lock in the source folder;"
        " auto takes the first there is of uv.lock, requirements.txt and pyproject.toml.",
        examples=["auto"],
    )
    workers: Annotated[int | Literal["auto"], BeforeValidator(_workers)] = Field(
        default="auto",
        description="Number of worker processes (1 to 256); auto is two a processor and one more, at most 8.",
        examples=["auto"],
    )
    environment: dict[Variable, Annotated[str, BeforeValidator(_environment)]] = Field(
        default_factory=dict,
        description="Environment variables, as written here; they win over `env_file` and `secrets`.",
        examples=[{"LOG_LEVEL": "info"}],
        repr=False,
    )
    env_file: Annotated[Path, AfterValidator(_env_file)] | None = Field(
        default=None,
        description="Dotenv file on the controller with more variables, relative to this inventory.",
        examples=["../.env.shop"],
    )
    secrets: list[Annotated[str, AfterValidator(_secret)]] = Field(
        default_factory=list,
        description="Names of variables to pass on from the controller's environment; each must be set.",
        examples=[["SHOP_SECRET_KEY"]],
    )
    domains: Annotated[list[Annotated[str, AfterValidator(_domain)]], AfterValidator(_distinct)] = Field(
        min_length=1,
        description='DNS names that the app answers to. "{host}" stands for the name of the host.',
        examples=[["shop.example.com", "{host}.shop.example.com"]],
    )
    process_manager: Literal["systemd"] = Field(
        default="systemd", description="What runs the app's processes.", examples=["systemd"]
    )
    health: Health = Field(
        default_factory=Health,
        description="The health check: a URL path, or a mapping with the keys of Health.",
        examples=["/health"],
    )
    static: dict[Annotated[str, AfterValidator(_prefix)], RelativeFolder] = Field(
        default_factory=dict,
        description="Files that nginx serves by itself: URL prefix to folder inside the source folder.",
        examples=[{"/static": "static"}],
    )
    migrate: Annotated[bool | str, BeforeValidator(_migrate)] = Field(
        default=True,
        description="Database migration, once a deploy, on the first host: true runs `alembic upgrade head`"
        " where there is an alembic.ini, a string is the command to run, false is none.",
        examples=[True],
    )
    migrate_on: Literal["first", "every"] = Field(
        default="first",
        description="Where to migrate: first, on one host, for a database that all share; every, for one on each host.",
        examples=["first"],
    )
    timeout: Whole = Field(
        default=60,
        ge=1,
        le=86400,
        description="Seconds that one request may take (1 to 86400); also how long an old release may drain.",
        examples=[60],
    )
    max_body: Annotated[
        Text, _matching(r"\d{1,12}[kKmMgG]?", '"{}" is not a size for nginx; write for example 10m')
    ] = Field(
        default="10m",
        description="Largest request body, as nginx writes it; 0 is no limit.",
        examples=["10m"],
    )
    memory_max: (
        Annotated[
            Text,
            _matching(r"\d{1,15}[KMGT]?|\d{1,2}%|100%", '"{}" is not a size for systemd; write for example 512M'),
        ]
        | None
    ) = Field(
        default=None,
        description="Memory that the app's processes may use in all, as systemd writes it; none is no limit.",
        examples=["512M"],
    )
    keep_releases: Whole = Field(
        default=5,
        ge=1,
        le=1000,
        description="Number of releases to keep on the server for rollbacks, the active one included.",
        examples=[5],
    )

    _env: dict[str, str] = PrivateAttr(default_factory=dict)
    _name: str = PrivateAttr(default="")

    @property
    def name(self) -> str:
        """The app's key under `apps`."""
        return self._name

    def model_post_init(self, context: Any) -> None:
        known = context if isinstance(context, Context) else Context(os.environ)
        if known.partial:
            return
        if self.env_file:
            self._env.update(known.env_files.get(self.env_file) or _dotenv(self.env_file))
        self._env.update({name: known.environ[name] for name in self.secrets})
        self._env.update(self.environment)

    @property
    def env(self) -> dict[str, str]:
        """The app's variables: `env_file`, over it `secrets`, over it `environment`. Never print them."""
        return dict(self._env)


class TLS(Model):
    """Certificates."""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        default="letsencrypt",
        description="Who signs: letsencrypt, letsencrypt-staging (for trials; browsers distrust it),"
        " self-signed, or the https:// URL of another ACME directory.",
        examples=["letsencrypt"],
    )
    email: (
        Annotated[
            str,
            _matching(
                r"[^@\s'\"]+@[^@\s'\"]+\.[^@\s'\"]+",
                '"{}" is not an email address; write for example ops@example.com',
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Where the issuer may write to about the certificates; it may be left out.",
        examples=["ops@example.com"],
    )
    issuer_ca: File | None = Field(
        default=None,
        description="CA bundle to trust when talking to the ACME directory, relative to this inventory.",
        examples=["../ca/acme.pem"],
    )
    root_ca: File | None = Field(
        default=None,
        description="Root certificate that clients of a private issuer trust; `verify` checks against it.",
        examples=["../ca/root.pem"],
    )
    check_dns: bool = Field(
        default=True,
        description="Before asking for a certificate, make sure that the domains point to the server.",
        examples=[True],
    )
    hsts: bool = Field(
        default=True,
        description="Tell browsers to come back over HTTPS only (Strict-Transport-Security).",
        examples=[True],
    )


class Rollout(Model):
    """How a release goes live on several hosts."""

    batch: Annotated[int | str, BeforeValidator(_batch)] = Field(
        default=1,
        description="Hosts to activate at a time: a number, or a percentage of them such as 25%.",
        examples=[1],
    )
    on_failure: Literal["rollback", "stop"] = Field(
        default="rollback",
        description="When a release fails on one host, the others: rollback takes those back that have it already,"
        " stop leaves them with it. Hosts that do not have it yet are not touched.",
        examples=["rollback"],
    )

    def size(self, hosts: int) -> int:
        """How many of so many hosts at a time, at least one."""
        if isinstance(self.batch, int):
            return self.batch
        return max(1, hosts * int(self.batch.removesuffix("%")) // 100)


class Mirrors(Model):
    """Where servers fetch from, for networks without the public sources."""

    pyenv: Repository = Field(
        default="https://github.com/pyenv/pyenv.git",
        description="Git repository of pyenv.",
        examples=["https://github.com/pyenv/pyenv.git"],
    )
    pyenv_revision: Revision = Field(default="v2.6.30", description="Tag or commit of pyenv.", examples=["v2.6.30"])
    python: Url | None = Field(
        default=None,
        description="Mirror of the CPython source archives (pyenv's PYTHON_BUILD_MIRROR_URL).",
        examples=["https://mirror.example.com/python"],
    )
    index: Url | None = Field(
        default=None,
        description="Package index for pip. It may hold a password, so it is treated as a secret.",
        examples=["https://packages.example.com/simple"],
        repr=False,
    )
    ca_bundle: File | None = Field(
        default=None,
        description="CA bundle that servers trust for these mirrors, relative to this inventory.",
        examples=["../ca/mirrors.pem"],
    )


class Host(Model):
    """One server."""

    name: Name = Field(description="The host's key under `hosts`.", examples=["web1"])
    address: Annotated[str, AfterValidator(_address)] = Field(
        description="DNS name or IP address to connect to.", examples=["203.0.113.10"]
    )
    port: Whole = Field(default=22, ge=1, le=65535, description="SSH port.", examples=[22])
    user: Annotated[
        Text, _matching(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", '"{}" is not a user name; write for example root')
    ] = Field(default="root", description="User to log in as.", examples=["root"])
    key: File | None = Field(
        default=None,
        description="SSH private key: a path from ~, or relative to this inventory. None leaves it to the"
        " agent and ssh_config.",
        examples=["~/.ssh/id_ed25519"],
    )
    agent: bool = Field(default=True, description="Offer the keys of the SSH agent.", examples=[True])
    proxy_jump: (
        Annotated[
            str,
            _matching(
                r"([A-Za-z_][\w.-]*@)?([A-Za-z0-9_][\w.-]*|\[[0-9a-fA-F:]+\])(:\d{1,5})?",
                '"{}" is not a jump host; write USER@HOST:PORT or a name from ssh_config',
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Jump host to connect through, as USER@HOST:PORT or a name from ssh_config.",
        examples=["jump@bastion.example.com:22"],
    )
    known_hosts: File | None = Field(
        default=None,
        description="known_hosts file with the server's key; none leaves it to the user's own.",
        examples=["known_hosts"],
    )
    become: Literal["auto", "none", "sudo", "sudo-password"] = Field(
        default="auto",
        description="How to become root: none (logs in as root), sudo (without a password), sudo-password"
        " (asked once); auto is none for root and sudo for others.",
        examples=["auto"],
    )
    groups: list[Name] = Field(
        default_factory=list,
        description="Groups that the host is in; values of later groups win over earlier ones.",
        examples=[["web"]],
    )
    roles: Annotated[list[Role], AfterValidator(_roles)] = Field(
        min_length=1,
        default_factory=lambda: list(ROLES),
        description="What the server is for. The order is fixed.",
        examples=[list(ROLES)],
    )
    packages: list[
        Annotated[
            str,
            _matching(r"[a-z0-9][a-z0-9+.-]+", '"{}" is not the name of a package; write for example postgresql'),
        ]
    ] = Field(
        default_factory=list,
        description="More packages of the system to install.",
        examples=[["htop", "ffmpeg"]],
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        default="Etc/UTC", description="Time zone of the server.", examples=["Etc/UTC"]
    )
    locale: Annotated[
        str,
        _matching(
            r"[A-Za-z]{1,8}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?",
            '"{}" is not a locale; write for example C.UTF-8 or en_US.UTF-8',
        ),
    ] = Field(default="C.UTF-8", description="Locale of the server.", examples=["C.UTF-8"])
    connect_timeout: Whole = Field(
        default=10, ge=1, le=600, description="Seconds to wait for a connection (1 to 600).", examples=[10]
    )
    apps: dict[Annotated[str, AfterValidator(_app_name)], App] = Field(
        default_factory=dict,
        description="The apps on the server, by name: a-z, 0-9 and -, at most 31 characters. The name is also"
        " that of the app's system user.",
        examples=[{}],
    )
    tls: TLS = Field(default_factory=TLS, description="Certificates: the keys of TLS.", examples=[{}])
    rollout: Rollout = Field(
        default_factory=Rollout,
        description="Activation on several hosts: the keys of Rollout. The first host's counts.",
        examples=[{}],
    )
    mirrors: Mirrors = Field(
        default_factory=Mirrors,
        description="Other sources to fetch from: the keys of Mirrors.",
        examples=[{}],
    )

    def model_post_init(self, context: Any) -> None:
        for name, app in self.apps.items():
            app._name = name

    @model_validator(mode="before")
    @classmethod
    def _name_in_domains(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("apps"), dict):
            return data
        host, apps = str(data.get("name")), {}
        for name, app in data["apps"].items():
            domains = app.get("domains") if isinstance(app, dict) else None
            if isinstance(domains, list):
                filled = [item.replace("{host}", host) if isinstance(item, str) else item for item in domains]
                app = {**app, "domains": filled}
            apps[name] = app
        return {**data, "apps": apps}


class Layout(Model):
    """What a file holds beside the keys of Host, which are the defaults for all of its hosts."""

    hosts: dict[str, Host] = Field(
        description="The servers by name: an address, or a mapping with the keys of Host.",
        examples=[{"web1": "203.0.113.10"}],
    )
    groups: dict[str, Host] = Field(
        default_factory=dict,
        description="Values for the hosts of a group: the keys of Host but address and groups, and hosts, a"
        " list of the names of hosts that are in it. A host's groups may also name a group that is not here.",
        examples=[{"web": {"hosts": ["web1"]}}],
    )
    include: list[str] | str = Field(
        default_factory=list,
        description="Other inventory files whose values lie underneath this one's, relative to this file.",
        examples=["common.yml"],
    )


class Inventory(Model):
    """All that one inventory file declares, checked."""

    path: Path = Field(description="The file.")
    name: str = Field(description="The file's name without its ending.")
    hosts: dict[str, Host] = Field(description="The hosts by name, in the order in which they are written.")
    groups: dict[str, tuple[str, ...]] = Field(description="The names of each group's hosts.")

    def select(self, name: str) -> tuple[Host, ...]:
        """The hosts that `name` means: all of them for the inventory's own name, a group's, or one.

        Raises InventoryError for a name that means nothing, no host at all, or more than one thing.
        """
        meanings: dict[tuple[str, ...], str] = {}
        if name in self.hosts:
            meanings.setdefault((name,), f"the host {name}")
        if name in self.groups:
            meanings.setdefault(self.groups[name], f"the group {name}")
        if name == self.name:
            meanings.setdefault(tuple(self.hosts), f"all hosts of {self.path}")
        if len(meanings) > 1:
            raise InventoryError(
                [f'{self.path}: "{name}" is ambiguous: {" or ".join(meanings.values())}; rename one of them']
            )
        if not meanings:
            known = {"inventory": [self.name], "groups": list(self.groups), "hosts": list(self.hosts)}
            hint = _there_are(name, known)
            raise InventoryError([f'{self.path}: "{name}" is no group and no host here{hint}'])
        hosts = next(iter(meanings))
        if not hosts:
            raise InventoryError([f"{self.path}: the group {name} has no hosts; name it in a host's groups"])
        return tuple(self.hosts[host] for host in hosts)


def _there_are(name: str, known: Mapping[str, Sequence[str]]) -> str:
    listed = "; ".join(f"{kind} {', '.join(names)}" for kind, names in known.items() if names)
    near = _meant(name, [item for names in known.values() for item in names])
    return f"{near}; there are: {listed}"


class Place(NamedTuple):
    """Where something was written: file, line (from 1), and dotted path from the file's top."""

    file: Path
    line: int
    path: str


class Problem(NamedTuple):
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(slots=True)
class Node:
    """A YAML value that knows where it was written. `data` is a dict or list of Nodes, or a plain value."""

    place: Place
    data: Any
    text: str = ""

    def plain(self) -> Any:
        """The value itself; keys whose value is null are left out, so that the default holds."""
        if isinstance(self.data, dict):
            return {key: node.plain() for key, node in self.data.items() if node.data is not None}
        if isinstance(self.data, list):
            return [node.plain() for node in self.data]
        return self.data

    def items(self) -> Iterator[tuple[str, Node]]:
        return iter(self.data.items() if isinstance(self.data, dict) else ())


class Problems:
    """All that is wrong so far, each thing once."""

    def __init__(self) -> None:
        self.found: dict[Problem, None] = {}

    def add(self, place: Place, message: str) -> None:
        text = f"{place.path}: {message}" if place.path else message
        self.found[Problem(str(place.file), place.line, re.sub(r"[\x00-\x1f\x7f]+", " ", text))] = None

    def lines(self) -> list[str]:
        return [str(problem) for problem in sorted(self.found)]


Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and re.fullmatch(r"[-+]?(0|[1-9]\d{0,17})", text):
        return int(text)
    if kind == "float" and re.fullmatch(r"[-+]?\d*\.\d+|[-+]?\d+\.\d*", text):
        return float(text)
    return text


def _tree(node: yaml.Node, place: Place, problems: Problems, above: tuple[yaml.Node, ...] = ()) -> Node:
    if node in above:
        problems.add(place, "an alias inside its own anchor; write the value out")
        return Node(place, None)
    if not node.tag.startswith("tag:yaml.org,2002:"):
        problems.add(place, "a value that begins with ! is a YAML tag, which means nothing here; quote the value")
    above = (*above, node)
    if isinstance(node, yaml.ScalarNode):
        return Node(place, _scalar(node), node.value)
    if isinstance(node, yaml.SequenceNode):
        return Node(
            place,
            [
                _tree(
                    item,
                    Place(place.file, item.start_mark.line + 1, f"{place.path}[{index}]"),
                    problems,
                    above,
                )
                for index, item in enumerate(node.value)
            ],
        )
    inherited: dict[str, Node] = {}
    data: dict[str, Node] = {}
    for key, value in node.value:
        line = (value if isinstance(value, yaml.ScalarNode) and value.value else key).start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                for name, child in _tree(source, Place(place.file, line, place.path), problems, above).items():
                    inherited.setdefault(name, child)
            continue
        if not isinstance(key, yaml.ScalarNode):
            problems.add(Place(place.file, line, place.path), "a key must be one word; quote what begins with { or [")
            continue
        name = key.value
        path = f"{place.path}.{name}" if place.path else name
        if name in data:
            problems.add(
                Place(place.file, key.start_mark.line + 1, path),
                f"written twice, first in line {data[name].place.line}; keep one",
            )
            continue
        data[name] = _tree(value, Place(place.file, line, path), problems, above)
    return Node(place, inherited | data)


def _merge(base: Node, over: Node) -> Node:
    if not isinstance(base.data, dict) or not isinstance(over.data, dict):
        return over
    data = dict(base.data)
    for key, node in over.data.items():
        data[key] = _merge(data[key], node) if key in data else node
    return Node(base.place, data)


class Shape(NamedTuple):
    """What a key holds, as far as layers must know it to be merged."""

    kind: Literal["model", "models", "file", "text", "other"]
    model: type[Model] = Model


def _leaves(annotation: Any) -> set[Any]:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _leaves(args[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(_leaves, args))
    if origin in (list, dict):
        return _leaves(args[-1])
    return {str} if origin is Literal else {annotation}


def _shape(annotation: Any) -> Shape:
    leaves = _leaves(annotation) - {type(None)}
    leaf = next(iter(leaves))
    if isinstance(leaf, type) and issubclass(leaf, Model):
        return Shape("models" if typing.get_origin(annotation) is dict else "model", leaf)
    return Shape("file" if leaf is Path else "text" if leaves == {str} else "other")


MODELS: tuple[type[Model], ...] = (Host, App, Source, Python, Health, TLS, Rollout, Mirrors)
SHAPES = {
    model: {name: _shape(item.annotation) for name, item in model.model_fields.items() if name != "name"}
    for model in MODELS
}
OWNERS = {
    name: f"{prefix}{name}"
    for model, prefix in (
        (Mirrors, "mirrors."),
        (Health, "apps.NAME.health."),
        (Python, "apps.NAME.python."),
        (Source, "apps.NAME.source."),
        (TLS, "tls."),
        (App, "apps.NAME."),
    )
    for name in SHAPES[model]
}
HOST_KEYS = frozenset(SHAPES[Host])
SHARED_KEYS = HOST_KEYS - {"address", "groups"}
GROUP_KEYS = SHARED_KEYS | {"hosts"}
TOP_KEYS = SHARED_KEYS | Layout.model_fields.keys()


def _unknown(key: str, known: Iterable[str]) -> str:
    if key in ("address", "groups", "name"):
        return f'"{key}" belongs to one host; write it under hosts.NAME'
    near = _meant(key, known)
    if key in OWNERS:
        near = f'; did you mean "{OWNERS[key]}"?'
    return f"unknown key{near or '; known are: ' + ', '.join(sorted(known))}"


def _normal(node: Node, model: type[Model], problems: Problems, known: Iterable[str] = ()) -> Node:
    """One layer, with shorthands written out, paths made absolute, and unknown keys reported and left out."""
    if model.shorthand and not isinstance(node.data, dict | list | bool | None):
        node = Node(node.place, {model.shorthand: node})
    if not isinstance(node.data, dict):
        return node
    shapes = SHAPES[model]
    keys = known or shapes
    data = {}
    for key, child in node.data.items():
        if key not in keys:
            place = child.place
            problems.add(place, _unknown(key, keys))
        elif key not in shapes:
            data[key] = child
        else:
            data[key] = _shaped(child, shapes[key], problems)
    return Node(node.place, data)


def _shaped(node: Node, shape: Shape, problems: Problems) -> Node:
    if shape.kind == "model":
        return _normal(node, shape.model, problems)
    if shape.kind == "models" and isinstance(node.data, dict):
        return Node(node.place, {key: _normal(child, shape.model, problems) for key, child in node.items()})
    if shape.kind == "file" and isinstance(node.data, str) and node.data:
        path = node.place.file.parent.absolute() / _expanded(node.data)
        return Node(node.place, os.path.normpath(path), node.text)
    return _as_written(node) if shape.kind == "text" else node


def _as_written(node: Node) -> Node:
    if isinstance(node.data, dict):
        return Node(node.place, {key: _as_written(child) for key, child in node.data.items()})
    if isinstance(node.data, list):
        return Node(node.place, [_as_written(child) for child in node.data])
    return (
        Node(node.place, node.text, node.text)
        if isinstance(node.data, int | float) and not isinstance(node.data, bool)
        else node
    )


def _syntax(error: yaml.YAMLError, source: str) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", "") or "not YAML")
    line = mark.line + 1 if mark else 1 + source[: getattr(error, "position", 0)].count("\n")
    lines = source.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return line, "a tab, which YAML does not allow for indentation; use spaces"
    if "single document" in str(error):
        return line, 'a second document begins here; remove the "---"'
    if "undefined alias" in problem:
        return line, "a value that begins with * means an alias, and there is no such anchor; quote the value"
    if "mapping values are not allowed" in problem:
        return (
            line,
            'not YAML: a ":" where none can be; check the indentation, and quote values with ": " in them',
        )
    if "cannot start any token" in problem:
        return line, "not YAML: a value cannot begin with this character; quote the value"
    return line, f"not YAML: {problem}; check the indentation, quotes and brackets"


def _parse(file: Path, problems: Problems) -> Node | None:
    """One file as written, or None and the reason in `problems`."""
    top = Place(file, 1, "")
    try:
        source = file.read_text(encoding="utf-8")
        root = yaml.compose(source, Loader=Loader)
    except UnicodeDecodeError:
        problems.add(top, "not UTF-8 text; save it as UTF-8")
    except OSError as error:
        problems.add(top, f"cannot be read: {error.strerror}")
    except yaml.YAMLError as error:
        line, message = _syntax(error, source)
        problems.add(Place(file, line, ""), message)
    except RecursionError:
        problems.add(top, "nested too deeply")
    else:
        if root is None or (isinstance(root, yaml.ScalarNode) and not root.value.strip()):
            problems.add(top, "the file is empty; begin with hosts:")
        elif not isinstance(root, yaml.MappingNode):
            problems.add(top, "not a mapping; begin with hosts:")
        else:
            return _tree(root, top, problems)
    return None


def _included(node: Node | None, problems: Problems) -> Iterator[Node]:
    if node is None or node.data is None:
        return
    for item in node.data if isinstance(node.data, list) else [node]:
        if isinstance(item.data, str) and item.data:
            yield item
        else:
            problems.add(item.place, "not a path; write the path of another inventory, or a list of them")


class Layers(NamedTuple):
    """A file with all that it includes: their trees, lowest first, and the includes that are missing."""

    documents: list[Node]
    missing: list[tuple[Place, str]]


def _collect(file: Path, problems: Problems, above: tuple[Path, ...] = ()) -> Layers:
    root = _parse(file, problems)
    layers = Layers([], [])
    if root is None:
        return layers
    above = (*above, file.resolve())
    for item in _included(root.data.get("include"), problems):
        path = Path(os.path.normpath(file.parent / _expanded(item.data)))
        if not path.is_file():
            lab = path.parent.name == ".lab"
            hint = (
                "start the lab with `invoke lab.up`" if lab else "correct the path, which starts at this file's folder"
            )
            layers.missing.append((item.place, f"there is no file {path}; {hint}"))
        elif path.resolve() in above:
            problems.add(item.place, f"{item.data} includes this file again; remove one of the two includes")
        else:
            below = _collect(path, problems, above)
            layers.documents.extend(below.documents)
            layers.missing.extend(below.missing)
    layers.documents.append(root)
    return layers


def _host_layer(node: Node, problems: Problems) -> Node:
    if isinstance(node.data, str | int | float) and not isinstance(node.data, bool):
        address = Node(node.place._replace(path=f"{node.place.path}.address"), node.text, node.text)
        node = Node(node.place, {"address": address})
    return _section(node, problems, HOST_KEYS)


def _section(node: Node, problems: Problems, keys: Iterable[str]) -> Node:
    if node.data is None:
        return Node(node.place, {})
    if not isinstance(node.data, dict):
        problems.add(node.place, f"{_shown(node.data)} is not a mapping; write keys and values below it")
        return Node(node.place, None)
    return _normal(node, Host, problems, keys)


def _document(root: Node, problems: Problems) -> Node:
    """A file's tree with every layer in it made normal."""
    sections = {key: node for key, node in root.items() if key in ("hosts", "groups")}
    rest = Node(root.place, {key: node for key, node in root.items() if key not in (*sections, "include")})
    document = _normal(rest, Host, problems, TOP_KEYS)
    document.data.update(sections)
    for key, layer in (("hosts", _host_layer), ("groups", lambda n, p: _section(n, p, GROUP_KEYS))):
        node = document.data.get(key)
        if node is None or node.data is None:
            document.data.pop(key, None)
        elif not isinstance(node.data, dict):
            problems.add(node.place, f"{_shown(node.data)} is not a mapping; write names and what belongs to them")
            document.data.pop(key)
        else:
            layers = {name: layer(child, problems) for name, child in node.items()}
            valid = {name: child for name, child in layers.items() if child.data is not None}
            document.data[key] = Node(node.place, valid)
    return document


def _names(node: Node | None) -> list[Node]:
    data = node.data if node else None
    return [item for item in data if isinstance(item.data, str)] if isinstance(data, list) else []


QUIET = frozenset({"environment", "secrets", "index", "repository", "pyenv"})
MAPPING = ("is not a mapping", "write keys and values below it")
BOOLEAN = ("is not true or false", "write true or false")
KINDS = {
    "string_type": ("is not text", "put it in quotes if it is meant as text"),
    "list_type": ("is not a list", "write [ONE, TWO]"),
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "bool_type": BOOLEAN,
    "bool_parsing": BOOLEAN,
    "path_type": ("is not a path", "write the path of a file"),
}


def _example(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    """How to write the field at `loc`, taken from its first example."""
    shape = Shape("model", Host if model is Host else Model)
    for part in loc[:-1]:
        if shape.kind == "models":
            shape = Shape("model", shape.model)
        elif shape.kind == "model" and isinstance(part, str):
            shape = SHAPES[shape.model].get(part, Shape("other"))
    item = shape.model.model_fields.get(str(loc[-1])) if shape.kind == "model" else None
    example = item.examples[0] if item and item.examples else None
    value = f"[{example[0]}]" if isinstance(example, list) else example
    return f"; write for example {loc[-1]}: {value}" if value else ""


def _explain(error: Mapping[str, Any]) -> str:
    """A Pydantic error in the words of whoever writes an inventory."""
    kind, context = error["type"], error.get("ctx", {})
    quiet = QUIET.intersection(map(str, error["loc"]))
    value = "the value" if quiet else _shown(error["input"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return f"missing{_example(Host, error['loc'])}"
    if kind == "literal_error":
        choices = [choice.strip("' ") for choice in re.split(r", | or ", context["expected"])]
        meant = _meant(str(error["input"]), choices)
        return f"{value} is not known; write {' or '.join(choices)}" if not meant else f"{value} is not known{meant}"
    if kind == "greater_than_equal":
        return f"{value} is too small; at least {context['ge']}"
    if kind == "less_than_equal":
        return f"{value} is too large; at most {context['le']}"
    if kind == "too_short":
        return "the list is empty; name at least one"
    if kind in KINDS:
        if error["input"] is None:
            return "the value is empty; write one, or remove the line"
        what, fix = KINDS[kind]
        if kind == "list_type" and isinstance(error["input"], str) and not quiet:
            fix = f"write [{error['input']}]"
        return f"{value} {what}; {fix}"
    return f"{value} is not valid: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _locate(root: Node, loc: Sequence[int | str]) -> Place:
    """Where the value at `loc` was written; for one that was not, the mapping that lacks it."""
    node = root
    for part in loc:
        if part == "[key]":
            break
        held = dict(enumerate(node.data)) if isinstance(node.data, list) else node.data
        if isinstance(held, dict) and part in held:
            node = held[part]
        elif isinstance(node.data, dict) and isinstance(part, str):
            path = f"{node.place.path}.{part}" if node.place.path else part
            return node.place._replace(path=path)
        else:
            break
    return node.place


def _validate(node: Node, context: Context, problems: Problems) -> Host | None:
    try:
        return Host.model_validate(node.plain(), context=context)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            if not (context.partial and error["type"] == "missing"):
                problems.add(_locate(node, error["loc"]), _explain(error))
    return None


def _check_layer(layer: Node, problems: Problems, context: Context) -> None:
    data = {key: node for key, node in layer.data.items() if key in SHARED_KEYS}
    data["name"] = Node(layer.place, "host")
    _validate(Node(layer.place, data), context, problems)


def _membership(document: Node, problems: Problems) -> dict[str, list[str]]:
    """The groups of each host: those that it lists, then those that list it."""
    declared = dict(document.data["groups"].items()) if "groups" in document.data else {}
    hosts = dict(document.data["hosts"].items()) if "hosts" in document.data else {}
    groups: dict[str, list[str]] = {}
    for name, host in hosts.items():
        listed = _names(host.data.get("groups"))
        groups[name] = list(dict.fromkeys(item.data for item in listed))
        for item in listed:
            meant = _meant(item.data, declared) if item.data not in declared else ""
            if meant and re.sub(r"\d", "", item.data) != re.sub(r"\d", "", meant.split('"')[1]):
                problems.add(item.place, f'the group "{item.data}" is not under groups{meant} (or add it there)')
    for name, group in declared.items():
        members = group.data.get("hosts")
        if members is not None and members.data is not None and not isinstance(members.data, list):
            problems.add(members.place, f"{_shown(members.data)} is not a list; write [HOST, HOST]")
        for item in _names(members):
            if item.data not in hosts:
                hint = _meant(item.data, hosts) or "; add it under hosts"
                problems.add(item.place, f'there is no host "{item.data}"{hint}')
            elif name not in groups[item.data]:
                groups[item.data].append(name)
    for name in {*declared, *(group for listed in groups.values() for group in listed)} & hosts.keys():
        place = declared[name].place if name in declared else hosts[name].place
        problems.add(place, f'"{name}" is a host and a group; rename one of them')
    return groups


def _host_node(name: str, groups: Sequence[str], document: Node) -> Node:
    own = document.data["hosts"].data[name]
    node = Node(document.place, {key: item for key, item in document.data.items() if key in SHARED_KEYS})
    declared = document.data["groups"].data if "groups" in document.data else {}
    for group in groups:
        if group in declared:
            layer = declared[group]
            shared = {key: item for key, item in layer.items() if key in SHARED_KEYS}
            node = _merge(node, Node(layer.place, shared))
    node = Node(own.place, _merge(node, own).data)
    node.data["name"] = Node(own.place, name, name)
    written = node.data.get("groups")
    if written is None or written.data is None or isinstance(written.data, list):
        known = {item.data: item for item in _names(written)}
        odd = [item for item in written.data if not isinstance(item.data, str)] if written and written.data else []
        items = [known.get(group) or Node(own.place, group, group) for group in groups] + odd
        node.data["groups"] = Node(written.place if written else own.place, items)
    return node


def _check_together(hosts: Mapping[str, Host], nodes: Mapping[str, Node], problems: Problems) -> None:
    addresses: dict[tuple[str, int, str | None], str] = {}
    for name, host in hosts.items():
        first = addresses.setdefault((host.address.lower(), host.port, host.proxy_jump), name)
        if first != name:
            place = _locate(nodes[name], ["address"])
            problems.add(place, f"hosts {first} and {name} have the same address; correct one, or remove it")
        domains: dict[str, str] = {}
        for app_name, app in host.apps.items():
            for index, domain in enumerate(app.domains):
                other = domains.setdefault(domain, app_name)
                if other != app_name:
                    place = _locate(nodes[name], ["apps", app_name, "domains", index])
                    problems.add(place, f"the apps {other} and {app_name} of host {name} have the same domain {domain}")


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Inventory:
    """The inventory in a file, with the files that it includes.

    Raises InventoryError with everything that is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise InventoryError([f"{path}: there is no such file; correct the path"])
    problems = Problems()
    layers = _collect(path, problems)
    for place, message in layers.missing:
        problems.add(place, message)
    documents = [_document(root, problems) for root in layers.documents]
    if not documents or documents[-1].place.file != path or layers.missing:
        raise InventoryError(problems.lines())

    partial = Context(environ, partial=True)
    document = Node(documents[-1].place, {})
    for layer in documents:
        _check_layer(layer, problems, partial)
        for _, group in layer.data["groups"].items() if "groups" in layer.data else ():
            _check_layer(group, problems, partial)
        document = _merge(document, layer)
    if "hosts" not in document.data or not document.data["hosts"].data:
        place = document.data["hosts"].place if "hosts" in document.data else document.place._replace(path="hosts")
        if not any(problem.text.startswith("hosts") for problem in problems.found):
            problems.add(place, "no hosts; write for example hosts: {web1: 203.0.113.10}")
        raise InventoryError(problems.lines())

    groups = _membership(document, problems)
    nodes = {name: _host_node(name, groups[name], document) for name in document.data["hosts"].data}
    context = Context(environ)
    hosts = {name: host for name, node in nodes.items() if (host := _validate(node, context, problems))}
    _check_together(hosts, nodes, problems)
    if problems.found:
        raise InventoryError(problems.lines())
    declared = [*document.data["groups"].data] if "groups" in document.data else []
    names = dict.fromkeys([*declared, *(group for host in hosts.values() for group in host.groups)])
    return Inventory(
        path=path,
        name=path.stem,
        hosts=hosts,
        groups={group: tuple(name for name, host in hosts.items() if group in host.groups) for group in names},
    )


class Outline(NamedTuple):
    """What a file speaks of, valid or not: its groups, its hosts, and the files that it includes."""

    groups: set[str]
    hosts: set[str]
    includes: set[Path]


def _outline(file: Path, problems: Problems) -> Outline:
    outline = Outline(set(), set(), set())
    for root in _collect(file, problems).documents:
        outline.includes.add(root.place.file)
        for name, _ in root.data["groups"].items() if "groups" in root.data else ():
            outline.groups.add(name)
        for name, host in root.data["hosts"].items() if "hosts" in root.data else ():
            outline.hosts.add(name)
            listed = host.data.get("groups") if isinstance(host.data, dict) else None
            outline.groups.update(item.text for item in _names(listed))
    return outline._replace(includes=outline.includes - {file})


def find(
    name: str,
    folder: Path = Path("inventories"),
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Inventory, tuple[Host, ...]]:
    """The inventory and hosts that `name` means: an inventory in `folder`, or a group or host in one.

    With `file`, only that one is looked at. Raises InventoryError for a name that is unknown or ambiguous and
    for an inventory that is invalid; one that cannot be read and need not be is only mentioned in the log.
    """
    own = folder / f"{name}.yml"
    if file is not None or own.is_file():
        inventory = load(file or own, environ)
        return inventory, inventory.select(name)
    files = sorted(path for path in folder.glob("*.yml") if not path.name.endswith(".example.yml"))
    problems = Problems()
    outlines = {path: _outline(path, problems) for path in files}
    found = {path: each for path, each in outlines.items() if name in each.groups | each.hosts}
    included = set().union(*(each.includes for each in found.values()))
    found = {path: each for path, each in found.items() if path not in included}
    if len(found) > 1:
        places = " and ".join(map(str, found))
        raise InventoryError([f'"{name}" is ambiguous: in {places}; choose one with --inventory FILE'])
    if not files:
        raise InventoryError([f"{folder} has no inventory; copy one of its *.example.yml files to {own}"])
    if not found:
        known = {
            "inventories": [path.stem for path in files],
            "groups": sorted(set().union(*(each.groups for each in outlines.values()))),
            "hosts": sorted(set().union(*(each.hosts for each in outlines.values()))),
        }
        message = f'"{name}" is no inventory, group or host{_there_are(name, known)}'
        raise InventoryError([message, *problems.lines()])
    for line in problems.lines():
        log.warning("%s", line)
    inventory = load(next(iter(found)), environ)
    return inventory, inventory.select(name)
