"""Where an app's code comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from provision.inventory import host_keys, pem
from provision.inventory.fields import Folder, RelativeFolder, Repository, Revision, existing_file, parsed_from
from provision.inventory.model import Context, Model, loaded
from provision.inventory.repository import ssh_endpoint
from provision.inventory.wording import display

GENERATE = "generate"


def _deploy_key(value: object, info: ValidationInfo) -> object:
    if value == GENERATE:
        return value
    if not isinstance(value, str | Path):
        raise ValueError(f"{display(value)} is not a deploy key; write generate, or the path of a private key file")
    path, context = existing_file(Path(value), info), Context.of(info)
    if not context.partial:
        context.parse(path, pem.deploy_key)
    return path


def _for_requirements(name: str, value: Any) -> Any:
    """A setting beside `push`, where only requirements are read from repositories. Raises ValueError for one that those do not use."""
    if name == "forward_agent":
        raise ValueError(f"{name} is for a repository that the server reads, and push needs none; remove one of them")
    if value == GENERATE:
        raise ValueError(
            "generate is for a repository that the server reads, and push needs none; name a key file, if there are requirements at"
            " git+ssh://"
        )
    if name == "host_key":
        host_keys.check_named(value)
    return value


HostKeyLine = Annotated[str, AfterValidator(host_keys.valid_line)]


class Source(Model):
    """Where the app's code comes from. A plain string is the repository."""

    shorthand: ClassVar[str] = "repository"

    repository: Repository | None = Field(
        default=None,
        description="Git repository, as both this machine and the server reach it: a URL or git@HOST:PATH.",
        examples=["https://git.example.com/shop.git"],
        repr=False,
    )
    push: Folder | None = Field(
        default=None,
        description="Instead of `repository`, which it overrides: a folder in a checkout on this machine, relative to this"
        " inventory. The commit goes to the server over the SSH connection; the server needs no access to a repository.",
        examples=[".."],
    )
    deploy_key: Annotated[Literal["generate"] | Path, BeforeValidator(_deploy_key)] | None = Field(
        default=None,
        description="The key to a private repository over SSH. generate: the server makes its own, which never leaves it, and"
        " its public half is printed for the repository's settings. A path: a private key file on this machine, relative to"
        " this inventory; the server has it only while it fetches. With `push`, a path: the key is for requirements at"
        " git+ssh:// alone.",
        examples=["generate"],
    )
    forward_agent: bool = Field(
        default=False,
        description="Instead of a deploy key: let the server use the keys of this machine's SSH agent while it fetches.",
        examples=[False],
    )
    host_key: Annotated[list[HostKeyLine], BeforeValidator(host_keys.lines)] = Field(
        default_factory=list,
        description="Pinned host keys of an SSH repository: lines as `ssh-keyscan HOST` prints them. Neither the server nor"
        " this machine accepts any other key. If omitted: the keys in this machine's known_hosts. With `push`: the keys of the"
        " hosts of requirements at git+ssh://.",
        examples=[
            [
                "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
            ]
        ],
    )
    revision: Revision = Field(
        default="HEAD",
        description="Branch, tag or commit to deploy; `--revision` on the command line overrides it.",
        examples=["main"],
    )
    folder: RelativeFolder = Field(
        default=".",
        description="The app's folder inside the repository; the app runs there.",
        examples=["."],
    )
    private_key: Annotated[str, parsed_from("deploy_key", pem.deploy_key)] = loaded("")
    """The text of the file that `deploy_key` names; empty if it names none. Never print it."""

    @field_validator("deploy_key", "forward_agent", "host_key")
    @classmethod
    def _only_over_ssh(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name
        if not value or Context.of(info).partial or not {"repository", "push"} <= info.data.keys():
            return value
        endpoint = ssh_endpoint(info.data["repository"] or "")
        if info.data["push"]:
            return _for_requirements(name or "", value)
        if info.data["repository"] and not endpoint:
            raise ValueError(f"{name} is for a repository over SSH; write repository: git@HOST:PATH, or remove {name}")
        if name == "forward_agent" and info.data.get("deploy_key"):
            raise ValueError("deploy_key and forward_agent are two ways to the same repository; remove one of them")
        if name == "host_key":
            host_keys.check_names(value, *(endpoint or ("", 22)))
        return value

    @model_validator(mode="after")
    def _repository_or_push(self, info: ValidationInfo) -> Source:
        if not Context.of(info).partial and not (self.repository or self.push):
            raise ValueError("no repository; write for example repository: https://git.example.com/shop.git")
        if self.push and isinstance(self.deploy_key, Path) and not self.host_key:
            raise ValueError(
                "with push, deploy_key is for requirements at git+ssh://, and their hosts are not pinned; add host_key: what"
                " ssh-keyscan HOST prints"
            )
        return self

    @property
    def location(self) -> str:
        """Where the commits are: the repository, or the checkout's folder."""
        return str(self.push or self.repository)

    @property
    def ssh(self) -> tuple[str, int] | None:
        """The host and port of a repository that is read over SSH."""
        return ssh_endpoint(self.repository) if self.repository and not self.push else None
