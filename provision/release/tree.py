"""A release's tree: one commit on the server's disk."""

from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.resource import Change, Probe, Ref, State
from provision.engine.shell import words
from provision.release import shell
from provision.release.layout import Layout
from provision.release.venv import Venv
from provision.resources.file import Directory


@dataclass(frozen=True, slots=True)
class Release:
    """The tree of `commit`, unmodified, with the app in `folder`. If it `upgrades`, what no lock pins is resolved anew for it.

    The folders in `shared`, which are relative to the app's, are links into the app's shared folder.
    """

    app: str
    release: str
    commit: str
    folder: str
    upgrades: bool = False
    shared: tuple[str, ...] = ()

    @staticmethod
    def ref_to(app: str) -> Ref:
        """What an app's wanted release is called."""
        return Ref("release", app)

    @property
    def ref(self) -> Ref:
        return self.ref_to(self.app)

    def probe(self) -> Probe:
        return Probe("release_probe", shell.LIBRARY, (self.app, self.release, self.commit, self.folder, self._links))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if state["tree"] == "unmodified":
            return None
        what = "restore release" if state else "release"
        why = " (its files were modified)" if state else ""
        links = f", with {', '.join(self.shared)} in shared/" if self.shared else ""
        upgrades = "yes" if self.upgrades else ""
        script = words("release_export", self.app, self.release, self.commit, self.folder, upgrades, self._links)
        return Change(self.ref, f"{self.app}: {what} {self.release}{links}{why}", script, shell.LIBRARY)

    @property
    def _links(self) -> str:
        return ":".join(self.shared)


def rebuilt(app: str, earlier: Mapping[Ref, Change]) -> bool:
    """Whether the release's files, its environment or what was built for it are about to be written again."""
    return any(ref in earlier for ref in (Release.ref_to(app), Venv.ref_to(app), Ref("build", app)))


def emptied(app: str, earlier: Mapping[Ref, Change]) -> bool:
    """Whether the shared folder is about to be made anew: a database in it must be migrated again."""
    return Directory.ref_to(Layout(app).shared) in earlier
