"""Settings of the kernel (sysctl)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from provision.engine.plan import diff
from provision.engine.resource import Change, Finding, Probe, Record, Ref, State
from provision.engine.shell import heredoc, library, words
from provision.untrusted import word

LIBRARY = library(__file__)
NAME, VALUE = r"[a-z0-9_]+(/[A-Za-z0-9_.:@-]+)+", r"[A-Za-z0-9_.:-]{0,64}"
SHOWN = 3  # values that a plan's line names


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of the kernel. In `name`, below /proc/sys, `*` stands for all network interfaces. Values in `stricter` stay as they are."""

    name: str
    value: str
    stricter: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether this is the setting of a path below /proc/sys."""
        before, star, after = self.name.partition("*")
        return name.startswith(before) and name.endswith(after) if star else name == self.name

    @property
    def key(self) -> str:
        """The setting's name as sysctl.d(5) has it."""
        return self.name.replace("/", ".")


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel's settings, in the file `path` for each boot, and at once. Without settings, the file goes, and values are what they were
    before their first change.

    What the kernel does not have, or does not let anybody set (in a container), is left out of the file and of the plan.
    """

    path: str
    settings: tuple[Setting, ...]

    @property
    def ref(self) -> Ref:
        return Ref("kernel", self.path)

    def probe(self) -> Probe:
        return Probe("kernel_probe", LIBRARY, (self.path, " ".join(each.name for each in self.settings)))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        there = base64.b64decode(state["content"]).decode(errors="replace")
        wanted, now = self._content(state), _values(state, "now")
        sets, back = self._sets(state), self._back(state)
        file = state["file"] == ("yes" if wanted else "no") and there == wanted
        if file and not sets and not back:
            return None
        new = {**now, **back, **sets}
        changed = [name for name in new if new[name] != now.get(name)]
        before = "".join(f"{name} = {now.get(name, '')}\n" for name in changed)
        after = "".join(f"{name} = {new[name]}\n" for name in changed)
        shown = "\n".join(filter(None, (diff(self.path, there, wanted), diff("/proc/sys", before, after))))
        forgotten = [name for name in _values(state, "was") if not any(each.covers(name) for each in self.settings)]
        script = "\n".join(
            (
                words("kernel_set", *(f"{name}={value}" for name, value in sets.items())),
                words("kernel_back", *forgotten),
                heredoc(words("kernel_file", self.path), wanted.encode()),
            )
        )
        return Change(self.ref, self._summary(file, wanted, now, new, changed), script, LIBRARY, shown)

    def findings(self, state: State, planned: Mapping[Ref, Change] | None) -> tuple[Finding, ...]:
        """What nobody can set here; said where there is something to change, and by `doctor`."""
        if planned is not None and self.ref not in planned:
            return ()
        fixed = [each.key for each in self.settings for one in self._live(state, each) if not _right(each, one)]
        fixed = [key for key in dict.fromkeys(fixed) if key not in self._content(state)]
        if not fixed:
            return ()
        what = f"this server's kernel lets nobody on it set {', '.join(fixed)}"
        return (Finding("kernel", "warn", what, "set them on the machine that this container runs on"),)

    def _live(self, state: State, setting: Setting) -> list[Record]:
        return [each for each in state.records if "now" in each and setting.covers(word(each, "name", NAME))]

    def _settable(self, state: State, setting: Setting) -> list[Record]:
        return [each for each in self._live(state, setting) if each["can"] == "yes"]

    def _sets(self, state: State) -> dict[str, str]:
        return {
            each["name"]: setting.value
            for setting in self.settings
            for each in self._settable(state, setting)
            if not _right(setting, each)
        }

    def _back(self, state: State) -> dict[str, str]:
        return {
            name: value
            for name, value in _values(state, "was").items()
            if not any(each.covers(name) for each in self.settings)
        }

    def _content(self, state: State) -> str:
        lines = []
        for each in self.settings:
            live = self._settable(state, each)
            if live and not any(one["now"] in each.stricter for one in live):
                lines.append(f"{each.key} = {each.value}\n")
        return "".join(("# Written by provision (hardening: system).\n", *lines)) if lines else ""

    def _summary(
        self, file: bool, wanted: str, now: Mapping[str, str], new: Mapping[str, str], changed: list[str]
    ) -> str:
        what = [f"{name.replace('/', '.')} {now.get(name, '')} -> {new[name]}" for name in changed[:SHOWN]]
        what += [f"{len(changed) - SHOWN} more values"] if len(changed) > SHOWN else []
        if not file:
            what.append(f"write {self.path}" if wanted else f"remove {self.path}")
        return f"kernel: {', '.join(what) or 'forget what it had before'}"


def _right(setting: Setting, record: Record) -> bool:
    return record["now"] in (setting.value, *setting.stricter)


def _values(state: State, key: str) -> dict[str, str]:
    return {word(each, "name", NAME): word(each, key, VALUE) for each in state.records if key in each}
