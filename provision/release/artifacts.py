"""What builds make: files that a release has in addition to its commit."""

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from provision.engine.resource import Change, Probe, Ref, State, Transfer
from provision.engine.shell import quote, words
from provision.errors import PlanError
from provision.inventory import App, Build
from provision.release import shell
from provision.release.tree import Release
from provision.release.venv import Venv


@dataclass(frozen=True, slots=True)
class Step:
    """Commands that run together: `program` is a script that runs them from the top of the commit. What they read (`inputs`; none: the
    whole commit) and make (`outputs`) are paths from there. `says` is what a plan says of them.
    """

    says: str
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def spec(self) -> str:
        """All of it in one word."""
        return _hash(self.program, "", *self.inputs, "", *self.outputs)


def steps(app: App) -> tuple[Step, ...]:
    """The app's builds, those without outputs together with the next that has them."""
    found, group = [], list[Build]()
    for each in app.build:
        group.append(each)
        if each.outputs:
            found.append(_step(app, group))
            group = []
    return tuple(found)


def _step(app: App, group: Iterable[Build]) -> Step:
    folder, inputs, outputs, programs, says = app.source.folder, tuple[str, ...](), tuple[str, ...](), [], []
    for each in group:
        inputs, outputs = _paths(folder, each.inputs), _paths(folder, each.outputs)
        programs.append(_program(posixpath.join(folder, each.folder), each))
        says.append(", ".join(each.run) + ("" if each.folder == "." else f" ({each.folder})"))
    whole = "." in inputs
    return Step(", ".join(says), "".join(programs), () if whole else inputs, outputs)


def _paths(folder: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(posixpath.normpath(posixpath.join(folder, name)) for name in names)


def _program(folder: str, build: Build) -> str:
    """The commands in a subshell of their own; what is to be run is said before."""
    lines = [f"cd {quote(posixpath.normpath(folder))}"]
    lines += [f"export {name}={quote(value)}" for name, value in sorted(build.environment.items())]
    for command in build.run:
        lines += [f"printf '%s\\n' {quote(f'$ {command}')}", words("sh", "-c", command)]
    return "(\n" + "\n".join(lines) + "\n)\n"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The release has what the `steps` make of its `commit`, each made once for all releases whose inputs are the same.

    `node` is the series of Node.js, `tools` where that is, `npm` the registry that npm asks. `box` is what they are confined by. Where the controller
    runs them, it sends the outcome in `sent`, by way of the login's `home`.
    """

    app: str
    release: str
    commit: str
    steps: tuple[Step, ...]
    node: str = ""
    tools: str = ""
    npm: str = ""
    box: tuple[str, ...] = ()
    on: Literal["server", "controller"] = "server"
    sent: Transfer | None = None
    home: str = ""

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's builds are called."""
        return Ref("build", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    @property
    def spec(self) -> str:
        """Everything that they are made with, besides the commit and the environment."""
        return _hash(self.node, self.on, *(each.spec for each in self.steps))

    def probe(self) -> Probe:
        return Probe("artifacts_probe", shell.LIBRARY, (self.app, self.release, self.commit, self.spec))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        """Raises PlanError if the controller has to build and does not."""
        again = Release.ref_to(self.app) in earlier or Venv.ref_to(self.app) in earlier
        if state["build"] == "right" and not again:
            return None
        says = "; ".join(each.says for each in self.steps)
        if self.on == "server":
            summary = f"{self.app}: build: {says}: run, or taken where its inputs are the same"
            return Change(self.ref, summary, self._script(), shell.LIBRARY)
        if state["kept"] == "yes":
            return Change(
                self.ref, f"{self.app}: build: {says}: taken from this server", self._arrived(), shell.LIBRARY
            )
        if self.sent is None:
            raise PlanError(f"{self.app}: {self.release} lacks what this machine built for it: deploy its commit again")
        summary = f"{self.app}: build on this machine, and send: {says}"
        return Change(
            self.ref, summary, self._arrived(f"{self.home}/{self.sent.remote}"), shell.LIBRARY, upload=self.sent
        )

    def _script(self) -> str:
        return "\n".join(
            (
                self._begin(),
                *(
                    words("artifacts_step", one.spec, "\n".join(one.inputs), "\n".join(one.outputs), one.program)
                    for one in self.steps
                ),
                words("artifacts_place", self.spec),
            )
        )

    def _arrived(self, pack: str = "") -> str:
        outputs = "\n".join(name for each in self.steps for name in each.outputs)
        return "\n".join(
            (
                self._begin(),
                words("artifacts_receive", self.spec, pack, outputs),
                words("artifacts_place", self.spec),
            )
        )

    def _begin(self) -> str:
        return words(
            "artifacts_begin",
            self.app,
            self.release,
            self.commit,
            self.node,
            self.tools,
            self.npm,
            "\n".join(self.box),
        )


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
