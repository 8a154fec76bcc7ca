"""What the user declares: hosts, groups and apps, checked before any connection."""

from __future__ import annotations

import base64
import difflib
import ipaddress
import os
import re
import ssl
import zoneinfo
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from provision.errors import InventoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

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


@dataclass(slots=True)
class Context:
    """What validation may know of the controller. A partial one is for a layer: no files, no secrets."""

    environ: Mapping[str, str]
    partial: bool = False
    env_files: dict[Path, dict[str, str]] = field(default_factory=dict)
    ca_files: dict[Path, tuple[str, ...]] = field(default_factory=dict)


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
        raise ValueError(f"{display(value)} is not a whole number; write digits only")
    return int(value)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def display(value: object) -> str:
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
    try:
        _ssh(value)
    except ValueError:
        raise ValueError("not a port; write ssh://HOST:PORT/PATH with a number") from None
    scp = re.fullmatch(r"([\w.-]+@)?[\w.-]+:[^\s:'\"\\][^\s'\"\\]*", value) and "://" not in value and value[0] != "-"
    if not (url or scp or re.fullmatch(r"/[^\s'\"\\]+", value)):
        raise ValueError("not a git repository; write https://HOST/PATH, ssh://HOST/PATH, git@HOST:PATH or /PATH")
    if url and re.match(r"[a-z]+://[^/@]*:[^/@]*@", value):
        raise ValueError(
            "a password in a repository's address would be seen on the server; use an SSH address and a key"
        )
    return value


GENERATE = "generate"


def _deploy_key(value: object, info: ValidationInfo) -> object:
    if value == GENERATE:
        return value
    if not isinstance(value, str | Path):
        raise ValueError(f"{display(value)} is no deploy key; write generate, or the path of a private key file")
    path = _existing(Path(value), info)
    if not _context(info).partial:
        _read_key(path)
    return path


def _read_key(path: Path) -> str:
    """A private key file's text, as OpenSSH reads it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        content = path.read_bytes().replace(b"\r\n", b"\n").rstrip() + b"\n"
        openssh = content.startswith(b"-----BEGIN OPENSSH")
        load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
        load(content, None)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except TypeError:
        raise ValueError(
            f"{path} is locked by a passphrase, and the server has nobody to ask; write generate, or name a key without one"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} is not a private key; name the file without .pub, or write generate") from None
    return content.decode()


HOST_KEY = re.compile(
    r"(?:(@cert-authority|@revoked)\s+)?(?:(\S+)\s+)?((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[\w@.-]+)\s+([A-Za-z0-9+/]+=*)(?:\s.*)?"
)


def host_key(line: str) -> re.Match[str] | None:
    """A line of a known_hosts file, or of a .pub file: its marker, names, type and key."""
    match = HOST_KEY.fullmatch(line.strip())
    try:
        fields = [*_fields(base64.b64decode(match[4], validate=True))] if match else []
    except ValueError:
        return None
    return match if match and len(fields) > 1 and fields[0] == match[3].encode() else None


def _fields(blob: bytes) -> Iterator[bytes]:
    """The parts of a public key, each behind four bytes with its length (RFC 4253, 6.6)."""
    while blob:
        end = 4 + int.from_bytes(blob[:4])
        if end > len(blob):
            raise ValueError
        yield blob[4:end]
        blob = blob[end:]


def _host_keys(value: object) -> object:
    """Lines, as they are printed or as a list, without comments."""
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"{display(value)} is no host key; write the lines that ssh-keyscan HOST prints")
    found = [line.strip() for text in lines for line in text.splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def _host_key(value: str) -> str:
    if not host_key(value):
        raise ValueError(
            f'"{value[:40]}" is no host key; write a line that ssh-keyscan HOST prints: HOST ssh-ed25519 AAAA...'
        )
    return value


SYSTEM = "system"


def _version(value: object) -> object:
    text = _text(value)
    if not isinstance(text, str):
        return text
    if re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{text} is not a full Python version; write all three parts and quote it: '3.13.5'")
    if re.fullmatch(r"3\.\d+\.\d+-?(a|b|c|rc|dev)\.?\d*", text):
        raise ValueError(f"{text} is not a final release; write for example '3.13.5'")
    if text == SYSTEM:
        return text
    match = re.fullmatch(r"3\.(\d{1,3})\.(\d{1,3})", text)
    if not match:
        raise ValueError(f"{display(text)} is not a version of CPython 3; write for example '3.13.5', or system")
    if int(match[1]) < 9:
        raise ValueError(f"Python {text} is too old for FastAPI; use 3.9.0 or newer, for example '3.13.5'")
    return text


def _ssh(repository: str) -> tuple[str, int] | None:
    """The host and port of a repository's SSH address."""
    if "://" not in repository:
        host = repository.partition(":")[0].rpartition("@")[2] if not repository.startswith("/") else ""
        return (host.lower(), 22) if host else None
    parts = urlsplit(repository)
    return (parts.hostname, parts.port or 22) if parts.scheme == "ssh" and parts.hostname else None


def known_as(host: str, port: int) -> str:
    """A host's name in a known_hosts file."""
    return host if port == 22 else f"[{host}]:{port}"


def _names_of_host_keys(lines: Sequence[str], repository: str) -> None:
    wanted = known_as(*(_ssh(repository) or ("", 22)))
    found = [match for match in map(host_key, lines) if match]
    for match in found:
        if match[2] and wanted not in match[2].lower().split(",") and not re.search(r"[|*?!]", match[2]):
            raise ValueError(
                f"a key of {match[2]}, and the repository is on {wanted}; write what ssh-keyscan prints for that"
            )
    if all(match[1] == "@revoked" for match in found):
        raise ValueError("all of these keys are revoked; write one that is good")


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
        raise ValueError(f"{display(value)} is not a number of workers; write auto or 1 to 256")
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


def expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _existing(path: Path, info: ValidationInfo) -> Path:
    path = expanded(path)
    if _context(info).partial:
        return path
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file")
    if not path.is_file():
        raise ValueError(f"there is no file {path}; correct the path (relative ones start at the inventory's folder)")
    return path


def _existing_folder(path: Path, info: ValidationInfo) -> Path:
    path = expanded(path)
    if not _context(info).partial and not path.is_dir():
        raise ValueError(f"{path}: there is no such folder; correct the path")
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


def _ca_file(path: Path, info: ValidationInfo) -> Path:
    path = _existing(path, info)
    context = _context(info)
    if not context.partial and path not in context.ca_files:
        context.ca_files[path] = _certificates(path)
    return path


def _chain_file(path: Path, info: ValidationInfo) -> Path:
    path = _existing(path, info)
    if not _context(info).partial:
        _chain(path)
    return path


def _chain(path: Path) -> tuple[Certificate, ...]:
    """The certificates in a PEM file, the server's own first."""
    from cryptography import x509

    found = tuple(x509.load_pem_x509_certificate(one.encode()) for one in _certificates(path))
    now = datetime.now(UTC)
    if found[0].not_valid_after_utc < now:
        raise ValueError(f"the certificate in {path} expired on {found[0].not_valid_after_utc:%Y-%m-%d}; get a new one")
    if found[0].not_valid_before_utc > now:
        raise ValueError(f"the certificate in {path} is not valid before {found[0].not_valid_before_utc:%Y-%m-%d}")
    return found


def _names_on(certificate: Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def _tls_key_file(path: Path, info: ValidationInfo) -> Path:
    path = _existing(path, info)
    if not _context(info).partial:
        _tls_key(path)
    return path


def _tls_key(path: Path) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except TypeError:
        raise ValueError(
            f"{path} is locked by a passphrase, and nginx has nobody to ask; name a key without one"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} is not a private key in PEM form, with -----BEGIN PRIVATE KEY-----") from None


def _read(path: Path | None, context: object) -> tuple[str, ...]:
    """The certificates in a CA file that validation has read, or reads now where nothing was validated."""
    known = context if isinstance(context, Context) else Context(os.environ)
    if path is None or known.partial:
        return ()
    return known.ca_files.get(path) or _certificates(path)


def _certificates(path: Path) -> tuple[str, ...]:
    """The certificates in a file, in PEM form, each with its lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is not UTF-8 text; openssl x509 -inform der -in {path} writes it as a PEM file"
        ) from None
    if "PRIVATE KEY-----" in text:
        raise ValueError(f"{path} has a private key, and servers let everybody read it; leave only certificates in it")
    found = tuple(re.findall(r"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----\n?", text, re.DOTALL))
    if not found:
        raise ValueError(f"{path} has no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----")
    for number, certificate in enumerate(found, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except (ssl.SSLError, ValueError):
            raise ValueError(f"certificate {number} of {path} is damaged; copy it there again") from None
    return tuple(f"{certificate.rstrip()}\n" for certificate in found)


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


def _host_address(value: str, info: ValidationInfo) -> str:
    if "connect" not in info.data:
        return value
    if info.data["connect"] != "vagrant":
        if not value:
            raise PydanticCustomError("missing", "missing")
        return _address(value)
    if value:
        raise ValueError("where a machine answers is for Vagrant to say; remove the address, or connect: vagrant")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"[\s'\"\\]", value):
        raise ValueError("not a web address; write https://HOST/PATH")
    return value


def _without_password(value: str) -> str:
    if "@" in urlsplit(value).netloc:
        raise ValueError("a password here would be seen on the server; let the mirror know servers by their address")
    return value


ISSUERS = ("letsencrypt", "letsencrypt-staging", "self-signed", "files")


def _issuer(value: str) -> str:
    if value not in ISSUERS and not re.fullmatch(r"https://[^\s'\"\\/]+(/[^\s'\"\\]*)?", value):
        raise ValueError(
            f'"{value}" is not an issuer; write {", ".join(ISSUERS)} or the https:// URL of an ACME directory'
            + suggestion(value, ISSUERS)
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
        raise ValueError(f"{display(value)} is not a migration; write true, false or a command")
    return _single_line(value) if isinstance(value, str) else value


def _batch(value: object) -> object:
    text = str(value)
    if not (re.fullmatch(r"[1-9]\d{0,3}", text) or re.fullmatch(r"[1-9]\d?%|100%", text)):
        raise ValueError(f'"{text}" is no batch; write a number of hosts such as 2, or a percentage such as 25%')
    return text if text.endswith("%") else int(text)


def _command(value: str) -> str:
    if not value.strip() or "\n" in value or "\0" in value:
        raise ValueError("a command is one line; longer ones go into a script of the app's repository")
    return value


def _timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        known = zoneinfo.available_timezones()
        if known or not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", value):
            hint = suggestion(value, known) or "; write for example Europe/Berlin"
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


def suggestion(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(words), 1, 0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


Process = Annotated[
    str,
    _matching(r"[a-z][a-z0-9-]{0,30}", '"{}" is no name for a process; use a-z, 0-9 and -, and begin with a letter'),
]
Text = Annotated[str, BeforeValidator(_text)]
Whole = Annotated[int, BeforeValidator(_whole)]
File = Annotated[Path, AfterValidator(_existing)]
CaFile = Annotated[Path, AfterValidator(_ca_file)]
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

    repository: Repository | None = Field(
        default=None,
        description="Git repository, as this machine and the server reach it: a URL or git@HOST:PATH.",
        examples=["https://git.example.com/shop.git"],
        repr=False,
    )
    push: Annotated[Path, AfterValidator(_existing_folder)] | None = Field(
        default=None,
        description="Instead of `repository`, and before it: a folder in a checkout on this machine, relative to this inventory. The"
        " commit goes to the server over the SSH connection; the server needs no access to a repository.",
        examples=[".."],
    )
    deploy_key: Annotated[Literal["generate"] | Path, BeforeValidator(_deploy_key)] | None = Field(
        default=None,
        description="Whose key opens a private repository over SSH: generate makes one on the server, which never leaves it,"
        " and prints its public half for the repository's settings; or the path of a private key file on this machine,"
        " relative to this inventory, which is on the server only while it fetches.",
        examples=["generate"],
    )
    forward_agent: bool = Field(
        default=False,
        description="Instead of a deploy key: while the server fetches, it may use the keys of this machine's SSH agent.",
        examples=[False],
    )
    host_key: Annotated[list[Annotated[str, AfterValidator(_host_key)]], BeforeValidator(_host_keys)] = Field(
        default_factory=list,
        description="The pinned host keys of an SSH repository: lines as `ssh-keyscan HOST` prints them. No other key is"
        " accepted, by the server or from here. None are those that this machine's known_hosts has for it.",
        examples=[
            [
                "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
            ]
        ],
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

    @model_validator(mode="after")
    def _somewhere(self, info: ValidationInfo) -> Source:
        if not _context(info).partial and not (self.repository or self.push):
            raise ValueError("no repository; write for example repository: https://git.example.com/shop.git")
        return self

    _private_key: str = PrivateAttr(default="")

    @field_validator("deploy_key", "forward_agent", "host_key")
    @classmethod
    def _for_ssh(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name
        if not value or _context(info).partial or not {"repository", "push"} <= info.data.keys():
            return value
        if info.data["push"]:
            raise ValueError(
                f"{name} is for a repository that the server reads, and push needs none; remove one of them"
            )
        if info.data["repository"] and not _ssh(info.data["repository"]):
            raise ValueError(f"{name} is for a repository over SSH; write repository: git@HOST:PATH, or remove {name}")
        if name == "forward_agent" and info.data.get("deploy_key"):
            raise ValueError("deploy_key and forward_agent are two ways to the same repository; remove one of them")
        if name == "host_key":
            _names_of_host_keys(value, info.data["repository"])
        return value

    def model_post_init(self, context: Any) -> None:
        known = context if isinstance(context, Context) else Context(os.environ)
        if isinstance(self.deploy_key, Path) and not known.partial:
            self._private_key = _read_key(self.deploy_key)

    @property
    def location(self) -> str:
        """Where the commits are: the repository, or the checkout's folder."""
        return str(self.push or self.repository)

    @property
    def ssh(self) -> tuple[str, int] | None:
        """The host and port of a repository that is read over SSH."""
        return _ssh(self.repository) if self.repository and not self.push else None

    @property
    def private_key(self) -> str:
        """The text of the file that `deploy_key` names; empty where it names none. Never print it."""
        return self._private_key


class Python(Model):
    """The app's Python: its own, built by pyenv, or the distribution's. A string alone is the version."""

    shorthand: ClassVar[str] = "version"

    version: Annotated[str, BeforeValidator(_version)] = Field(
        default="3.13.5",
        description="Exact version of CPython, a final release from 3.9 on. Quote it. Or system: the distribution's Python,"
        " for which nothing is built; an upgrade of the distribution brings another one.",
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

    @field_validator("optimized")
    @classmethod
    def _built(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("version") == SYSTEM:
            raise ValueError(
                "the distribution's Python is not built here; remove optimized, or write a version: '3.13.5'"
            )
        return value

    @property
    def system(self) -> bool:
        """Whether it is the distribution's."""
        return self.version == SYSTEM

    @property
    def name(self) -> str:
        """As one word: 3.13.5, 3.13.5-optimized, or system."""
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
    passes: Whole = Field(
        default=3,
        ge=1,
        le=100,
        description="Good answers in a row that a new release must give before it has traffic (1 to 100).",
        examples=[3],
    )
    watch: Whole = Field(
        default=2,
        ge=0,
        le=600,
        description="Seconds for which a new release must do well with the traffic (0 to 600), the old one standing by; one that ends"
        " or is unhealthy by then is undone.",
        examples=[2],
    )


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = f"(?:{'|'.join(DAYS)})"
FIELD = r"\*|\d{1,2}|(?:\*|\d{1,2})/\d{1,2}"
WEEK = rf"{DAY}(?:\.\.{DAY})?"
CALENDAR = re.compile(rf"(?:({WEEK}(?:,{WEEK})*) )?(?:\*-({FIELD})-({FIELD}) )?({FIELD}):({FIELD})(?::00)?")


def _cron(field: str | None, least: int, most: int) -> str:
    """A field of a calendar expression as cron writes it: 0/15 is */15. Raises ValueError out of range."""
    start, slash, step = (field or "*").partition("/")
    first = least if start == "*" else int(start)
    if not least <= first <= most or (slash and not 1 <= int(step) <= most):
        raise ValueError(field)
    if slash:
        return f"*/{int(step)}" if start == "*" or first == 0 else f"{first}-{most}/{int(step)}"
    return start if start == "*" else str(first)


def _week(days: str | None) -> str:
    """Days of the week as cron writes them: Mon..Fri is 1-5. Raises ValueError for a range that ends before it begins."""
    found = []
    for part in days.split(",") if days else ():
        numbers = [DAYS.index(day) + 1 for day in part.split("..")]
        if numbers != sorted(set(numbers)):
            raise ValueError(days)
        found.append("-".join(map(str, numbers)))
    return ",".join(found) or "*"


class Schedule(Model):
    """A command that runs at times, in the active release."""

    at: Annotated[
        str,
        _matching(
            r"[A-Za-z0-9*/.,:~ -]{1,80}",
            '"{}" is no time; write 03:00 for daily, or a calendar expression such as "Mon *-*-* 06:30"',
        ),
    ] = Field(
        description="When: 03:00 is daily; otherwise a calendar expression of systemd.time(7).", examples=["03:00"]
    )
    run: Annotated[str, AfterValidator(_command)] = Field(
        description="The command.", examples=["python -m shop.cleanup"]
    )

    @property
    def calendar(self) -> str:
        """As systemd's OnCalendar writes it."""
        return f"*-*-* {self.at}:00" if re.fullmatch(r"\d{1,2}:\d{2}", self.at) else self.at

    @property
    def cron(self) -> str:
        """As the five fields of crontab(5). Raises ValueError for what cron cannot say."""
        short = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 1", "monthly": "0 0 1 * *"}
        if self.at in short:
            return short[self.at]
        found = CALENDAR.fullmatch(self.at)
        try:
            if not found:
                raise ValueError(self.at)
            days, month, day, hour, minute = found.groups()
            date = (_cron(day, 1, 31), _cron(month, 1, 12))
            # cron takes a day of the week and one of the month for "either", a calendar expression for "both".
            if days and date != ("*", "*"):
                raise ValueError(self.at)
            return " ".join((_cron(minute, 0, 59), _cron(hour, 0, 23), *date, _week(days)))
        except ValueError:
            raise ValueError(
                f'"{self.at}" cannot be said to cron, which Supervisor goes by; write for example 03:00, hourly,'
                ' "Mon..Fri 06:30", "*-*-01 04:00" or "*:0/15"'
            ) from None


class Hooks(Model):
    """Commands on the server, in the new release with its environment, as the app's user."""

    before: Annotated[str, AfterValidator(_command)] | None = Field(
        default=None,
        description="Before the release starts; where it fails, the deploy stops with nothing switched.",
        examples=["python -m shop.warm_up"],
    )
    after: Annotated[str, AfterValidator(_command)] | None = Field(
        default=None,
        description="After the release has the traffic; where it fails, the release stays and the deploy says so.",
        examples=["python -m shop.announce"],
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
    process_manager: Literal["systemd", "supervisor"] = Field(
        default="systemd",
        description="What runs the app's processes: systemd, or supervisor, with cron for the schedules. The sandbox is systemd's alone.",
        examples=["systemd"],
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
    processes: dict[Process, Annotated[str, AfterValidator(_command)]] = Field(
        default_factory=dict,
        description="More processes than the web app, by name: commands that are kept running in the active release,"
        " with the app's environment, and restarted onto a new one after the switch.",
        examples=[{"worker": "python -m shop.worker"}],
    )
    schedules: dict[Process, Schedule] = Field(
        default_factory=dict,
        description="Commands to run at times, by name, in the active release: mappings with the keys of Schedule.",
        examples=[{"cleanup": {"at": "03:00", "run": "python -m shop.cleanup"}}],
    )
    hooks: Hooks = Field(
        default_factory=Hooks, description="Commands around an activation: the keys of Hooks.", examples=[{}]
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
        description="Seconds that one request may take (1 to 86400).",
        examples=[60],
    )
    drain: Whole | None = Field(
        default=None,
        ge=0,
        le=86400,
        description="Seconds that an old release may take to answer what it has begun, websockets and streams included (0 to 86400),"
        " before it is ended; none is the timeout.",
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

    @property
    def drain_seconds(self) -> int:
        """Seconds that an old release may drain."""
        return self.timeout if self.drain is None else self.drain

    @model_validator(mode="after")
    def _names_of_processes(self) -> App:
        both = self.processes.keys() & self.schedules.keys()
        if both:
            raise ValueError(f'"{min(both)}" is a process and a schedule; rename one of them')
        for name in (*self.processes, *self.schedules):
            if name in ("web", "blue", "green", "boot"):
                raise ValueError(f'"{name}" is a name that the app itself has; rename the process')
        if self.process_manager == "supervisor":
            for name, schedule in self.schedules.items():
                try:
                    schedule.cron  # noqa: B018
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return self

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
        " self-signed, the https:// URL of another ACME directory, or files: you have a certificate and its key.",
        examples=["letsencrypt"],
    )
    certificate: Annotated[Path, AfterValidator(_chain_file)] | None = Field(
        default=None,
        description="With files: the certificate for all domains of a host, and after it those that lead to its root, in one"
        " PEM file, relative to this inventory.",
        examples=["../tls/shop.pem"],
    )
    key: Annotated[Path, AfterValidator(_tls_key_file)] | None = Field(
        default=None,
        description="With files: the certificate's private key, a PEM file without a passphrase, relative to this inventory."
        " Keep it out of Git.",
        examples=["../tls/shop.key"],
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
    issuer_ca: CaFile | None = Field(
        default=None,
        description="CA bundle to trust when talking to the ACME directory, relative to this inventory.",
        examples=["../ca/acme.pem"],
    )
    root_ca: CaFile | None = Field(
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

    _authorities: tuple[str, ...] = PrivateAttr(default=())
    _given_chain: str = PrivateAttr(default="")
    _given_key: str = PrivateAttr(default="")

    def model_post_init(self, context: Any) -> None:
        self._authorities = _read(self.issuer_ca, context)
        known = context if isinstance(context, Context) else Context(os.environ)
        if self.certificate and self.key and not known.partial:
            self._given_chain = "".join(_certificates(self.certificate))
            self._given_key = self.key.read_text().strip() + "\n"

    @model_validator(mode="after")
    def _own_files(self, info: ValidationInfo) -> TLS:
        if _context(info).partial:
            return self
        if self.issuer != "files":
            if self.certificate or self.key:
                raise ValueError("certificate and key are for issuer: files; write that, or remove them")
        elif not (self.certificate and self.key):
            raise ValueError("issuer: files needs certificate and key, the paths of two PEM files")
        elif _chain(self.certificate)[0].public_key() != _tls_key(self.key).public_key():
            raise ValueError(f"{self.key} is not the key of the certificate in {self.certificate}; name its own")
        return self

    @property
    def chain(self) -> str:
        """The text of the file that `certificate` names; empty where there is none."""
        return self._given_chain

    @property
    def private_key(self) -> str:
        """The text of the file that `key` names; empty where there is none. Never print it."""
        return self._given_key

    def covers(self, domain: str) -> bool:
        """Whether the certificate that was given is for a domain (RFC 9525: a wildcard stands for one label)."""
        if not self.certificate:
            return True
        names = {name.lower() for name in _names_on(_chain(self.certificate)[0])}
        return not names.isdisjoint({domain, f"*.{domain.partition('.')[2]}"})

    @property
    def authorities(self) -> tuple[str, ...]:
        """The certificates in `issuer_ca`, each in PEM form."""
        return self._authorities


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
    python: Annotated[Url, AfterValidator(_without_password)] | None = Field(
        default=None,
        description="Mirror of the CPython source archives (pyenv's PYTHON_BUILD_MIRROR_URL).",
        examples=["https://mirror.example.com/python"],
    )
    index: Url | None = Field(
        default=None,
        description="Package index for all requirements, also those of a uv.lock. It may hold a password, so it is treated as a secret.",
        examples=["https://packages.example.com/simple"],
        repr=False,
    )
    ca_bundle: CaFile | None = Field(
        default=None,
        description="CA bundle that servers trust for these mirrors, relative to this inventory.",
        examples=["../ca/mirrors.pem"],
    )

    _authorities: tuple[str, ...] = PrivateAttr(default=())

    def model_post_init(self, context: Any) -> None:
        self._authorities = _read(self.ca_bundle, context)

    @property
    def authorities(self) -> tuple[str, ...]:
        """The certificates in `ca_bundle`, each in PEM form."""
        return self._authorities


class Host(Model):
    """One server."""

    name: Name = Field(description="The host's key under `hosts`.", examples=["web1"])
    connect: Literal["ssh", "vagrant"] = Field(
        default="ssh",
        description="How to connect: ssh, to the `address`; vagrant, to the machine of the host's name in the Vagrantfile above"
        " this inventory: `vagrant ssh-config` says its address, port, user and key, and its host key is pinned at the first contact.",
        examples=["ssh"],
    )
    address: Annotated[str, AfterValidator(_host_address)] = Field(
        default="",
        validate_default=True,
        description="DNS name or IP address to connect to; required, except with `connect: vagrant`.",
        examples=["203.0.113.10"],
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

    _forwarded: dict[int, int] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        for name, app in self.apps.items():
            app._name = name

    @property
    def forwarded(self) -> dict[int, int]:
        """The ports of the server that clients find under another number at its address, and those numbers."""
        return self._forwarded

    @field_validator("port", "user", "key", "proxy_jump", "known_hosts")
    @classmethod
    def _not_for_vagrant(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("connect") == "vagrant":
            raise ValueError("with connect: vagrant, this is for Vagrant to say; remove one of the two")
        return value

    @model_validator(mode="after")
    def _names_of_programs(self) -> Host:
        """Supervisor has one room for all: the app shop with a process api, and an app shop-api, would share a name."""
        seen: dict[str, str] = {}
        for name, app in self.apps.items():
            if app.process_manager == "supervisor":
                for program in (name, *(f"{name}-{one}" for one in ("blue", "green", *app.processes, *app.schedules))):
                    if program in seen:
                        raise ValueError(
                            f"the apps {seen[program]} and {name} would both have a program {program}; rename one"
                        )
                    seen[program] = name
        return self

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


class InventoryFile(Model):
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
            hint = known_names(name, known)
            raise InventoryError([f'{self.path}: "{name}" is no group and no host here{hint}'])
        hosts = next(iter(meanings))
        if not hosts:
            raise InventoryError([f"{self.path}: the group {name} has no hosts; name it in a host's groups"])
        return tuple(self.hosts[host] for host in hosts)


def known_names(name: str, known: Mapping[str, Sequence[str]]) -> str:
    listed = "; ".join(f"{kind} {', '.join(names)}" for kind, names in known.items() if names)
    near = suggestion(name, [item for names in known.values() for item in names])
    return f"{near}; there are: {listed}"


MODELS: tuple[type[Model], ...] = (Host, App, Source, Python, Health, Schedule, Hooks, TLS, Rollout, Mirrors)
