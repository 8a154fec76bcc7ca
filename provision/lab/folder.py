"""Where a lab keeps its state: .lab in the project, or PROVISION_LAB."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from provision.lab.machine import LabError, until


@dataclass(frozen=True)
class Folder:
    path: Path

    @property
    def servers(self) -> Path:
        return self.path / "servers"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def git(self) -> Path:
        return self.path / "git"

    @property
    def acme(self) -> Path:
        return self.path / "acme"

    @property
    def python(self) -> Path:
        return self.path / "python-mirror"

    @property
    def trash(self) -> Path:
        return self.path / "trash"

    @property
    def key(self) -> Path:
        return self.path / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def ops_password(self) -> Path:
        return self.path / "ops-password"

    @property
    def inventory(self) -> Path:
        return self.path / "lab.yml"

    @property
    def app_env(self) -> Path:
        return self.path / "app.env"

    @property
    def api_ca(self) -> Path:
        return self.path / "acme-api-ca.pem"

    @property
    def root_ca(self) -> Path:
        return self.path / "acme-root.pem"

    @property
    def gitconfig(self) -> Path:
        return self.path / "gitconfig"

    @property
    def dns(self) -> Path:
        return self.path / "dns.conf"

    def create(self) -> None:
        for folder in (self.path, self.servers, self.run, self.log, self.git, self.acme, self.trash):
            folder.mkdir(parents=True, exist_ok=True)

    def hand_over(self) -> None:
        """What the caller needs without root is the caller's, when that is not root."""
        owner = os.environ.get("SUDO_UID")
        if owner is None:
            return
        group = os.environ.get("SUDO_GID", owner)
        public = self.key.with_suffix(".pub")
        mine = (self.path, self.git, self.key, public, self.known_hosts, self.ops_password)
        for path in (*mine, self.inventory, self.api_ca, self.root_ca):
            if path.exists():
                os.chown(path, int(owner), int(group))

    def remove(self) -> None:
        folders = (self.servers, self.run, self.log, self.git, self.acme, self.trash)

        def removed() -> bool:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            return not any(folder.exists() for folder in folders)

        if not until(removed, timeout=120, pause=0.2):
            raise LabError(f"Not all of {self.path} could be removed; see what holds it: ls -lR {self.path}")
        for file in (
            self.python,
            self.app_env,
            self.key,
            self.key.with_suffix(".pub"),
            self.known_hosts,
            self.ops_password,
            self.inventory,
            self.api_ca,
            self.root_ca,
            self.gitconfig,
            self.dns,
        ):
            file.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def project() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() or (folder / "tasks.py").is_file():
            return folder
    raise LabError(f"No project here: neither {here} nor a folder above it has a tasks.py. Change to the project.")


def current() -> Folder:
    chosen = os.environ.get("PROVISION_LAB")
    return Folder(Path(chosen).absolute() if chosen else project() / ".lab")


def cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "provision" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
