"""uv, and the virtual environments that it installs for releases."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import library, words

LIBRARY = library(__file__)
UV = "0.13.9"
SERVER = ("gunicorn==27.0.1", "uvicorn[standard]==0.54.0", "uvicorn-worker==0.4.0")


@dataclass(frozen=True, slots=True)
class Uv:
    """The pinned installer, which reads requirements.txt, pyproject.toml and uv.lock alike.

    PYTHON/bin/python3 is what installs it; uv itself is a program that needs no Python to stay.
    """

    python: str
    index: str = ""
    version: str = UV

    @property
    def path(self) -> str:
        return f"/opt/uv/{self.version}"

    @property
    def ref(self) -> Ref:
        return Ref("uv", self.version)

    def probe(self) -> Probe:
        return Probe("probe_uv", LIBRARY, (self.path,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state:
            return None
        script = words("install_uv", self.path, self.version, self.python, self.index)
        return Change(self.ref, f"install uv {self.version}", script, LIBRARY)


@dataclass(frozen=True, slots=True)
class Venv:
    """The virtual environment of a release: what its requirements say, and the pinned server where they do not name one.

    It is built once for all releases with the same requirements, Python and platform. `release` is the release's
    path, `folder` the app's place in it, `requirements` a path relative to that or `auto`. PYTHON/bin/python3 is its
    Python; the distribution's is known by its series (3.11), which an upgrade of the distribution changes.
    """

    app: str
    release: str
    folder: str
    requirements: str
    python: str
    platform: str
    uv: str
    index: str = ""

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's environment is called."""
        return Ref("venv", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    @property
    def base(self) -> str:
        return " ".join((self.python, self.platform, self.uv, *SERVER))

    @property
    def _whose(self) -> str:
        return "the distribution's Python" if self.python == "/usr" else f"Python {self.python.rpartition('/')[2]}"

    def probe(self) -> Probe:
        return Probe("probe_venvs", LIBRARY, (self.release, self.folder, self.requirements, self.base))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state == (("right",),):
            return None
        where = "" if self.requirements == "auto" else f" of {self.requirements}"
        what = f"venv for the requirements{where}: built, or shared where they are the same"
        if state == (("other",),):
            what = f"another venv, with {self._whose}: built, or shared where it is the same"
        elif state:
            what = "rebuild the venv (it was modified)"
        script = words(
            "install_venv",
            self.app,
            self.release,
            self.folder,
            self.requirements,
            self.base,
            self.python,
            self.uv,
            self.index,
            *SERVER,
        )
        return Change(self.ref, f"{self.app}: {what}", script, LIBRARY)
