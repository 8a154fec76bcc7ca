"""Everything that can go wrong, as one family: each message is one line or a few, for whoever typed the command."""

from collections.abc import Iterable, Sequence


class ProvisionError(Exception):
    """What is wrong, where, and what to do about it. A traceback of anything else is a bug."""


class UsageError(ProvisionError):
    """A command cannot be carried out as it was typed; nothing was touched."""

    def __init__(self, *errors: str) -> None:
        self.errors = errors
        super().__init__("\n".join(errors))


class InventoryError(ProvisionError):
    """An inventory is wrong: `errors` has one line each, "path:line: message; suggestion"."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


class PlanError(ProvisionError):
    """What is wanted cannot be: one line that says what, where, and what to do. Raised before anything is touched.

    Where what to do stands apart from the rest, it is in `fix`.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        self.what, self.fix = what, fix
        super().__init__(f"{what}: {fix}" if fix else what)


class ProbeError(ProvisionError):
    """A server's answer to the facts or the probe script cannot be used."""


class RunError(ProvisionError):
    """A host's run failed: one line that says why, and in `output` the lines that led to it."""

    def __init__(self, message: str, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = tuple(output)


class Unreachable(ProvisionError):
    """No session can be had on the host."""


class Stranger(Unreachable):
    """The server answers, and it and this login do not know one another yet, or no longer."""


class LoginRefused(Stranger):
    """The server does not let this login in."""


class UnknownHost(Stranger):
    """Nobody has said that the server's host key is its own."""


class ConnectionLost(ProvisionError):
    """The connection ended while something was going on."""


class AccessDenied(ProvisionError):
    """The session is there, but not the rights of root."""


class CacheError(ProvisionError):
    """What a server packed cannot be kept, or what is kept cannot be used."""


class VagrantError(ProvisionError):
    """Vagrant cannot say where a machine is."""
