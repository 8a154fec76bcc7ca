"""The virtual environments of releases."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.inventory import App
from provision.release import shell
from provision.release.uv import UV, Uv
from provision.resources.python import prefix

SERVER = ("gunicorn==27.0.1", "uvicorn[standard]==0.54.0", "uvicorn-worker==0.4.0")
BUILD = f"<<'END_OF_BUILD'\n{shell.text('build')}END_OF_BUILD"


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
    `box` is what the build is confined by (release/box.py).
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
        return " ".join((self.python, self.platform, Uv(self.python, version=self.uv).path, *SERVER))

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
        if state["venv"] == "other":
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
            *SERVER,
        )
        return Change(self.ref, f"{self.app}: {what}", f"{script} {BUILD}", shell.LIBRARY)
