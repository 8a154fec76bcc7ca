"""pyenv, and the CPythons that it builds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.engine.facts import Fact
from provision.engine.layout import TOOLKIT
from provision.engine.resource import Change, Probe, Record, Ref, State, Transfer
from provision.engine.shell import library, words
from provision.errors import PlanError
from provision.untrusted import word

LIBRARY = library(__file__)
ROOT = "/opt/pyenv"
OUTBOX = TOOLKIT.outbox
# What pyenv knows at the revisions that the list names; versions from old to new.
_PYENV, *KNOWN = (
    line for line in Path(__file__).with_name("cpython_versions.txt").read_text().splitlines() if line[0] != "#"
)
REVISIONS = _PYENV.split()[1:]


def prefix(name: str) -> str:
    """The folder of the Python `name` (3.13.5, 3.13.5-optimized); its program is PREFIX/bin/python3."""
    return f"{ROOT}/versions/{name}"


def _names(records: Sequence[Record]) -> frozenset[str]:
    return frozenset(word(each, "name") for each in records)


# The Pythons that were built or placed to their end, by name.
BUILT = Fact("python", "python_built_facts", LIBRARY, _names)


@dataclass(frozen=True, slots=True)
class CachedPython:
    """A packed CPython in the controller's cache, and the packages that its libraries come from. `size` is in
    bytes.
    """

    path: Path
    sha256: str
    size: int
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pyenv:
    """An unmodified pyenv at one revision, a tag or a commit."""

    repository: str
    revision: str

    @staticmethod
    def ref_to(revision: str) -> Ref:
        """The name of pyenv at a revision."""
        return Ref("pyenv", revision)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.revision)

    def probe(self) -> Probe:
        return Probe("python_probe_pyenv", LIBRARY, (self.revision,))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["state"] == "unmodified":
            return None
        what = f"pyenv {self.revision[:12]}"
        summary = f"restore {what} (it was modified)" if state else f"install {what} from {self.repository}"
        return Change(self.ref, summary, words("python_install_pyenv", self.repository, self.revision), LIBRARY)


@dataclass(frozen=True, slots=True)
class CPython:
    """A CPython that pyenv builds, verifying its source's checksum, or that comes from the controller's cache.

    `mirror` is python-build's PYTHON_BUILD_MIRROR_URL. `keep` is where the controller keeps what this server
    builds; None keeps nothing. `login` is the user who fetches it, `pyenv` the revision of pyenv that the server
    has or will have.
    """

    version: str
    optimized: bool
    mirror: str
    login: str
    home: str
    cached: CachedPython | None = None
    keep: Path | None = None
    pyenv: str = ""

    @property
    def name(self) -> str:
        """As one word: 3.13.5 or 3.13.5-optimized."""
        return f"{self.version}-optimized" if self.optimized else self.version

    @property
    def prefix(self) -> str:
        """The folder that it is installed in."""
        return prefix(self.name)

    @property
    def ref(self) -> Ref:
        return Ref("python", self.name)

    def probe(self) -> Probe:
        return Probe("python_probe", LIBRARY, (self.prefix, self.version))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["state"] == "built":
            return None
        if self.cached:
            remote = f".provision-{self.cached.sha256[:16]}.tar.gz"
            summary = f"place Python {self.name} from the controller's cache ({self.cached.size / 1e6:.0f} MB)"
            script = words("python_place", self.prefix, f"{self.home}/{remote}", self.cached.sha256)
            upload = Transfer(self.cached.path, remote, self.cached.sha256, self.cached.size)
            return Change(self.ref, summary, script, LIBRARY, upload=upload)
        self._check_known(state, earlier)
        # CPython's own tests take as long to install as everything else; an optimized build is profiled with them.
        options = "--enable-optimizations --with-lto" if self.optimized else "--disable-test-modules"
        packed = f"{OUTBOX}/{self.name}.tar.gz" if self.keep else ""
        script = words("python_build", self.prefix, self.version, options, self.mirror, packed, self.login)
        summary = f"build Python {self.version} with pyenv" + (", optimized" if self.optimized else "")
        download = Transfer(self.keep, packed) if self.keep else None
        return Change(self.ref, summary, script, LIBRARY, download=download)

    def _check_known(self, state: State, earlier: Mapping[Ref, Change]) -> None:
        """Ask the server's pyenv what it can build; if it is yet to be installed, ask the list of the revisions
        that we know.
        """
        series = self.version.rpartition(".")[0]
        if Pyenv.ref_to(self.pyenv) not in earlier:
            unknown, newest = state["state"] == "unknown", state["newest"]
        elif self.pyenv in REVISIONS:
            unknown = self.version not in KNOWN
            newest = next((version for version in reversed(KNOWN) if version.rpartition(".")[0] == series), "")
        else:
            return
        if unknown:
            has = f"the newest {series} that it knows is {newest}" if newest else f"it knows no {series} at all"
            raise PlanError(
                f"pyenv {self.pyenv[:12]} does not know Python {self.version}: {has}; "
                "write a version that it knows, or name a newer pyenv with mirrors.pyenv_revision"
            )
