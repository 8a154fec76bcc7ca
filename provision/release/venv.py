"""The virtual environments of releases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import quote, words
from provision.inventory import App
from provision.release import shell
from provision.release.uv import UV, Uv
from provision.resources.python import prefix

SERVER = ("gunicorn==27.0.1", "uvicorn[standard]==0.54.0", "uvicorn-worker==0.4.0")
# What reads the locks of other tools than uv, and what that needs. With others: uv pip compile --universal --python-version 3.10
EXPORTERS = Path(__file__).with_name("exporters.txt").read_text()
BUILD = f"<<'END_OF_BUILD'\nexporters={quote(EXPORTERS)}\n{shell.text('build')}END_OF_BUILD"


def python_home(app: App) -> str:
    """Where the app's Python is: its program is HOME/bin/python3."""
    return "/usr" if app.python.system else prefix(app.python.name)


@dataclass(frozen=True, slots=True)
class Venv:
    """The virtual environment of a release: its requirements, and the pinned server unless they name one.

    It is built once for all releases with the same requirements, Python and platform. `release` is the release's id,
    `folder` the app's folder in it, `requirements` a path relative to that, or `auto`. PYTHON/bin/python3 is its Python;
    the distribution's counts by its series (3.11), so only an upgrade of the distribution changes it. `netrc` has logins that only
    the build sees, and `key` the private key of the app's repository, where the server has none of its own.
    `box` is what the build is confined by (release/box.py). `extras` and `groups` are names in the app's project. If it `upgrades`, what no
    lock pins is resolved anew. It has many fields because a build has all that it may know from here.
    """

    app: str
    release: str
    folder: str
    requirements: str
    python: str
    platform: str
    index: str = ""
    uv: str = UV
    netrc: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    box: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    upgrades: bool = False

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's environment is called."""
        return Ref("venv", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    @property
    def base(self) -> str:
        """Everything that an environment is made with, besides the requirements."""
        parts = (*(f"extra:{name}" for name in self.extras), *(f"group:{name}" for name in self.groups))
        return " ".join((self.python, self.platform, Uv(self.python, version=self.uv).path, *SERVER, *parts))

    @property
    def _whose(self) -> str:
        return "the distribution's Python" if self.python == "/usr" else f"Python {self.python.rpartition('/')[2]}"

    def probe(self) -> Probe:
        item = (self.app, self.release, self.folder, self.requirements, self.base)
        return Probe("venv_probe", shell.LIBRARY, item)

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["venv"] == "right":
            return None
        where = "" if self.requirements == "auto" else f" of {self.requirements}"
        what = f"venv for the requirements{where}: built, or shared where they are the same"
        if self.upgrades:
            what = f"venv for the requirements{where}: built, with the newest versions that they allow"
        elif state["venv"] == "other":
            what = f"another venv, with {self._whose}: built, or shared where it is the same"
        elif state:
            what = "rebuild the venv (it was modified)"
        script = words(
            "venv_install",
            self.app,
            self.release,
            self.folder,
            self.requirements,
            self.base,
            self.python,
            self.uv,
            self.index,
            self.netrc,
            self.key,
            "\n".join(self.box),
            " ".join(self.extras),
            " ".join(self.groups),
            *SERVER,
        )
        return Change(self.ref, f"{self.app}: {what}", f"{script} {BUILD}", shell.LIBRARY)
