"""One app: what a deploy puts on a server and serves."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from provision.inventory import addresses, dotenv, reserved, tree
from provision.inventory.build import Build, builds
from provision.inventory.cache import Cache
from provision.inventory.database import Database
from provision.inventory.egress import Egress
from provision.inventory.fields import (
    Command,
    EnvFile,
    File,
    RepositoryPath,
    SiteName,
    Text,
    Variable,
    Whole,
    as_text,
    command,
    distinct,
    matching,
    parsed_by,
    parsed_from,
    whole_number,
)
from provision.inventory.headers import Headers
from provision.inventory.health import Health
from provision.inventory.hooks import Hooks
from provision.inventory.limits import Limits
from provision.inventory.model import Context, Model, loaded
from provision.inventory.netrc import logins
from provision.inventory.python import Python
from provision.inventory.requirements import Requirements
from provision.inventory.sandbox import Directive
from provision.inventory.schedule import Schedule
from provision.inventory.source import Source
from provision.inventory.wording import display


def _workers(value: object) -> object:
    if value == "auto":
        return value
    number = whole_number(value) if re.fullmatch(r"\d{1,3}", str(value)) else None
    if not isinstance(number, int) or not 1 <= number <= 256:
        raise ValueError(f"{display(value)} is not a number of workers; write auto or 1 to 256")
    return number


def _variable(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise ValueError("not a single value; write text, a number, true or false")
    return dotenv.variable_value(str(value))


def filled(value: str, parts: dict[str, str]) -> str:
    """A variable's value with the parts of the database and the cache in it."""
    return re.sub(r"\{(database|cache)\.\w+\}", lambda found: parts.get(found.group(), found.group()), value)


def _secret(name: str, info: ValidationInfo) -> str:
    dotenv.variable_name(name)
    context = Context.of(info)
    if context.partial:
        return name
    context.secrets.variable(name)
    return name


def _url_prefix(value: str) -> str:
    if not re.fullmatch(r"(/[\w.~-]+)+/?", value) or "/../" in f"{value}/":
        more = ", and let the app answer / itself (docs/server.md)" if value == "/" else ""
        raise ValueError(f'"{value}" is not a URL prefix; write for example /static{more}')
    return value.rstrip("/")


def _migration(value: object) -> object:
    if isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return value.lower() in ("yes", "on", "true")
    if not isinstance(value, bool) and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{display(value)} is not a migration; write true, false or a command")
    return command(value) if isinstance(value, str) else value


Module = Annotated[
    str,
    matching(
        r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*",
        '"{}" is not an ASGI app; write package.module:attribute, for example shop.main:app',
    ),
]
Process = Annotated[
    str,
    matching(r"[a-z][a-z0-9-]{0,30}", '"{}" is not a process name; use a-z, 0-9 and -, and begin with a letter'),
]
BodySize = Annotated[Text, matching(r"\d{1,12}[kKmMgG]?", '"{}" is not a size for nginx; write for example 10m')]
Memory = Annotated[
    Text,
    matching(r"\d{1,15}[KMGT]?|\d{1,2}%|100%|infinity", '"{}" is not a size for systemd; write for example 512M'),
]


class App(Model):
    """One FastAPI app, with its own user, folder, Python environment, service and site.

    It has many fields because a flat mapping is easier to write and to merge than a deep one.
    """

    source: Source = Field(
        description="Where the code comes from: a repository, or a mapping with the keys of Source.",
        examples=["https://git.example.com/shop.git"],
    )
    module: Module = Field(description="The ASGI app, as package.module:attribute.", examples=["shop.main:app"])
    python: Python = Field(
        default_factory=Python,
        description="The Python to run on: a version, or a mapping with the keys of Python.",
        examples=["3.13.5"],
    )
    requirements: Requirements = Field(
        default_factory=Requirements,
        description="What to install: a file of the repository, or a mapping with the keys of Requirements.",
        examples=["auto"],
    )
    netrc: Annotated[File, parsed_by(logins)] | None = Field(
        default=None,
        description="A netrc file on this machine, relative to this inventory, with logins for package indexes and Git servers"
        " over HTTPS that requirements come from. Only the builder of the requirements can read it, while it installs them.",
        examples=["../.netrc.shop"],
    )
    build: Annotated[list[Build], AfterValidator(builds)] = Field(
        default_factory=list,
        description="Commands that make files which the commit does not have, in the order in which they run: strings, or mappings with the"
        " keys of Build. docs/server.md says where they run, and when they do not.",
        examples=[[{"run": ["npm ci", "npm run build"], "folder": "frontend", "outputs": ["frontend/dist"]}]],
    )
    build_on: Literal["server", "controller"] = Field(
        default="server",
        description="Where they run. server: on each server, confined; controller: on this machine, in a clean checkout and as you, and"
        " what they make is sent along.",
        examples=["server"],
    )
    node: Annotated[Literal["22", "24", "system"], BeforeValidator(as_text)] | None = Field(
        default=None,
        description="Node.js with npm for builds on the server. 22 or 24: the release of that series that this toolkit pins; system: the"
        " distribution's. If omitted: none.",
        examples=["22"],
    )
    workers: Annotated[int | Literal["auto"], BeforeValidator(_workers)] = Field(
        default="auto",
        description="Number of worker processes (1 to 256). auto: 2 x CPUs + 1, at most 8.",
        examples=["auto"],
    )
    environment: dict[Variable, Annotated[str, BeforeValidator(_variable)]] = Field(
        default_factory=dict,
        description="Environment variables, passed on as written here; they override `env_file` and `secrets`.",
        examples=[{"LOG_LEVEL": "info"}],
        repr=False,
    )
    database: Database | None = Field(
        default=None,
        description="A database of the app's own: postgresql, or a mapping with the keys of Database. `DATABASE_URL` is then in the app's"
        " environment, and {database.host}, .port, .user, .name, .url and, on another host, .password in values of `environment` stand for"
        " its parts.",
        examples=["postgresql"],
    )
    env_file: EnvFile | None = Field(
        default=None,
        description="Dotenv file on this machine with more variables, relative to this inventory. docs/environment.md says"
        " how it is read; nothing is expanded.",
        examples=["../.env.shop"],
    )
    secrets: list[Annotated[str, AfterValidator(_secret)]] = Field(
        default_factory=list,
        description="Names of variables to pass on from this inventory's secrets (docs/secrets.md), or else from this machine's"
        " environment; each must be in one of them.",
        examples=[["SHOP_SECRET_KEY"]],
    )
    domains: Annotated[list[SiteName], AfterValidator(distinct), AfterValidator(addresses.site_names)] = Field(
        min_length=1,
        description='DNS names that the app answers to; "{host}" stands for the host\'s name. After the first, wildcards may follow:'
        " *.shop.example.com is all names one level below (`tls.dns`).",
        examples=[["shop.example.com", "{host}.shop.example.com"]],
    )
    process_manager: Literal["systemd", "supervisor"] = Field(
        default="systemd",
        description="What runs the app's processes: systemd, or supervisor, with cron for schedules. Only systemd sandboxes them.",
        examples=["systemd"],
    )
    health: Health = Field(
        default_factory=Health,
        description="The health check: a URL path, or a mapping with the keys of Health.",
        examples=["/health"],
    )
    static: dict[Annotated[str, AfterValidator(_url_prefix)], RepositoryPath] = Field(
        default_factory=dict,
        description="Files that nginx serves itself: URL prefix to folder, relative to the source folder.",
        examples=[{"/static": "static"}],
    )
    shared: tree.SharedFolders = Field(
        default_factory=list,
        description="Folders that the app writes to by a path of its own, such as ./data, relative to the source folder: each is a link, in each"
        " release, to the folder of the same path in `shared/`. The commit has no files in them. docs/server.md says more.",
        examples=[["data", "media/uploads"]],
    )
    migrate: Annotated[bool | str, BeforeValidator(_migration)] = Field(
        default=True,
        description="Database migration, run once per deploy, on the first host. true: `alembic upgrade head` if there is an"
        " alembic.ini; a string: that command; false: none.",
        examples=[True],
    )
    processes: dict[Process, Command] = Field(
        default_factory=dict,
        description="Processes besides the web app, by name: commands that are kept running in the active release, with the"
        " app's environment. After the switch, they restart in the new release.",
        examples=[{"worker": "python -m shop.worker"}],
    )
    schedules: dict[Process, Schedule] = Field(
        default_factory=dict,
        description="Commands that run at set times in the active release, by name: mappings with the keys of Schedule.",
        examples=[{"cleanup": {"at": "03:00", "run": "python -m shop.cleanup"}}],
    )
    hooks: Hooks = Field(
        default_factory=Hooks, description="Commands that run around an activation: the keys of Hooks.", examples=[{}]
    )
    migrate_on: Literal["first", "every"] = Field(
        default="first",
        description="Where to migrate. first: on one host, for a database that all hosts share; every: on each host, for a"
        " database of its own.",
        examples=["first"],
    )
    timeout: Whole = Field(
        default=60,
        ge=1,
        le=86400,
        description="Seconds that the app may be silent: before it answers, within what it streams, on a websocket (1 to 86400).",
        examples=[60],
    )
    drain: Whole | None = Field(
        default=None,
        ge=0,
        le=86400,
        description="Seconds for an old release to finish requests, websockets and streams, before it is stopped (0 to 86400). If omitted: the timeout.",
        examples=[60],
    )
    limits: Limits = Field(
        default_factory=Limits,
        description="What one client may ask of the app: the keys of Limits.",
        examples=[{}],
    )
    egress: Egress = Field(
        default_factory=Egress,
        description="Where the app may connect to: the keys of Egress.",
        examples=[{}],
    )
    headers: Headers = Field(
        default_factory=Headers,
        description="Headers by which browsers protect the app's pages: the keys of Headers.",
        examples=[{}],
    )
    max_body: BodySize = Field(
        default="10m",
        description="Largest request body, as nginx writes it; 0 means no limit.",
        examples=["10m"],
    )
    cache: Cache = Field(
        default_factory=Cache,
        description="What is kept for the app: redis or valkey, for a Redis of its own with `REDIS_URL` in the app's environment; a size, such as 100m,"
        " for answers that nginx keeps; or a mapping with the keys of Cache.",
        examples=["redis"],
    )
    memory_max: Memory = Field(
        default="75%",
        description="Memory limit for the web app, for each process and for each run of a schedule, as systemd writes it; infinity"
        " means no limit.",
        examples=["512M"],
    )
    tasks_max: Whole = Field(
        default=1024,
        ge=16,
        le=1000000,
        description="Most processes and threads of the web app, of each process and of each run of a schedule (16 to 1000000).",
        examples=[1024],
    )
    unsandbox: Annotated[list[Directive], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="Directives of the sandbox that the app does without, by systemd's names; docs/security.md lists them.",
        examples=[["MemoryDenyWriteExecute"]],
    )
    backup_shared: bool = Field(
        default=True,
        description="Whether `backups` of the host back up the app's `shared/` folder, and SQLite databases in it.",
        examples=[False],
    )
    renamed_from: Annotated[str, AfterValidator(reserved.app_name)] | None = Field(
        default=None,
        description="The name that the app had before: where a server still has it under that name, the app takes over its domains"
        " and its data, and the old one is removed. docs/renaming.md says how.",
        examples=["store"],
    )
    adopt: Annotated[list[Literal["user", "folders", "nginx"]], AfterValidator(distinct)] = Field(
        default_factory=list,
        description="What the app may take over of somebody else's, which is refused otherwise. user: a user or a group of its name;"
        " folders: what is where its folders go; nginx: sites with its domains only. It is kept, and put back when the app is removed."
        " docs/server.md says how, and who is never adopted.",
        examples=[["user", "folders"]],
    )
    keep_releases: Whole = Field(
        default=5,
        ge=1,
        le=1000,
        description="Number of releases to keep on the server for rollbacks, including the active one.",
        examples=[5],
    )
    name: str = Field(default="", exclude=True)
    """The app's key under `apps`."""
    netrc_text: Annotated[str, parsed_from("netrc", logins)] = loaded("")
    """The logins in the file that `netrc` names; empty if it names none. Never print it."""
    env: dict[str, str] = loaded({})
    """The app's variables: `env_file`, over it `secrets`, over it `environment`. Never print them."""

    @field_validator("env")
    @classmethod
    def _all_variables(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        context, data = Context.of(info), info.data
        if context.partial:
            return value
        file = context.parse(data["env_file"], dotenv.variables) if data.get("env_file") else {}
        secrets = {name: context.secrets.variable(name) for name in data.get("secrets", ())}
        parts = {
            f"{{{key}.{part}}}": value
            for key in ("database", "cache")
            if isinstance(one := data.get(key), Database | Cache) and one.engine
            for part, value in one.parts(str(data.get("name"))).items()
        }
        own = {name: filled(value, parts) for name, value in data.get("environment", {}).items()}
        urls = {"DATABASE_URL": "{database.url}", "REDIS_URL": "{cache.url}"}
        given = {name: parts[part] for name, part in urls.items() if part in parts}
        return {**given, **file, **secrets, **own}

    @field_validator("schedules")
    @classmethod
    def _suit_cron(cls, value: dict[str, Schedule], info: ValidationInfo) -> dict[str, Schedule]:
        if info.data.get("process_manager") == "supervisor":
            for name, schedule in value.items():
                try:
                    schedule.cron  # noqa: B018
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return value

    @model_validator(mode="after")
    def _paths_are_in_the_repository(self) -> App:
        tree.check(self)
        return self

    @model_validator(mode="after")
    def _processes_have_own_names(self) -> App:
        both = self.processes.keys() & self.schedules.keys()
        if both:
            raise ValueError(f'"{min(both)}" is a process and a schedule; rename one of them')
        for name in (*self.processes, *self.schedules):
            if name in reserved.PROCESSES:
                raise ValueError(f'"{name}" is a name that the app uses itself; rename the process')
        return self

    def in_repository(self, path: str) -> str:
        """A path that is relative to the app's folder, from the top of the repository."""
        return os.path.normpath(f"{self.source.folder}/{path}")

    @property
    def own_database(self) -> Database | None:
        """Its database on its own server."""
        return self.database if self.database and not self.database.host else None

    @property
    def remote_database(self) -> Database | None:
        """Its database on another host."""
        return self.database if self.database and self.database.host else None

    @property
    def asked(self) -> tuple[str, ...]:
        """The names under which the site is asked whether it answers: its own, and one below each wildcard."""
        return tuple(map(addresses.concrete, self.domains))

    @property
    def drain_seconds(self) -> int:
        """Seconds for an old release to finish its requests (0 to 86400)."""
        return self.timeout if self.drain is None else self.drain
