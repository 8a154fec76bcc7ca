"""What stands for Supervisor in tests."""

from __future__ import annotations

from socketserver import ThreadingUnixStreamServer
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

if TYPE_CHECKING:
    from pathlib import Path

INFO = {
    "name": "shop-blue",
    "group": "shop-blue",
    "start": 1795302300,
    "stop": 0,
    "now": 1795302360,
    "state": 20,
    "statename": "RUNNING",
    "spawnerr": "",
    "exitstatus": 0,
    "logfile": "/var/log/supervisor/shop/blue.log",
    "stdout_logfile": "/var/log/supervisor/shop/blue.log",
    "stderr_logfile": "",
    "pid": 4711,
    "description": "pid 4711, uptime 0:01:00",
}


class Supervisor(ThreadingUnixStreamServer, SimpleXMLRPCDispatcher):
    """What stands for Supervisor: `programs` are those that it has (GROUP:NAME of a slot's), with their states.

    A slot's group has two processes. `asked` is each call.
    """

    logRequests = False  # noqa: N815
    daemon_threads = True

    def __init__(self, path: Path) -> None:
        class Handler(SimpleXMLRPCRequestHandler):
            disable_nagle_algorithm = False

        SimpleXMLRPCDispatcher.__init__(self)
        ThreadingUnixStreamServer.__init__(self, str(path), Handler)
        self.programs: dict[str, str] = {}
        self.refused: set[str] = set()
        self.asked: list[tuple[Any, ...]] = []
        self.pid = INFO["pid"]

    def group(self, name: str) -> list[str]:
        """The programs of a group that it has."""
        return [program for program in self.programs if program.partition(":")[0] == name]

    def _dispatch(self, method: str, params: Any) -> Any:
        name = method.removeprefix("supervisor.")
        self.asked.append((name, *params))
        match name:
            case "getState":
                return {"statecode": 1, "statename": "RUNNING"}
            case "getAllProcessInfo":
                return [{**INFO, "name": each, "group": each.partition(":")[0]} for each in self.programs]
            case "reloadConfig":
                return [[[], [], []]]
        program = params[0]
        if name.endswith("ProcessGroup"):
            return self._change_group(name, program)
        if program not in self.programs:
            raise Fault(10, f"BAD_NAME: {program}")
        if name == "getProcessInfo":
            return {**INFO, "name": program, "group": program, "pid": self.pid, "statename": self.programs[program]}
        if name == "startProcess":
            if self.programs[program] == "RUNNING":
                raise Fault(60, f"ALREADY_STARTED: {program}")
            if program in self.refused:
                raise Fault(50, f"SPAWN_ERROR: {program}")
            self.programs[program] = "RUNNING"
        if name == "stopProcess":
            self.programs[program] = "STOPPED"
        return True

    def _change_group(self, name: str, group: str) -> bool:
        found = self.group(group)
        if name == "addProcessGroup":
            if found:
                raise Fault(90, f"ALREADY_ADDED: {group}")
            if group in self.refused:
                raise Fault(10, f"BAD_NAME: {group}")
            two = group.endswith(("-blue", "-green"))
            self.programs |= dict.fromkeys(
                [f"{group}:{group}_{number}" for number in (0, 1)] if two else [group], "STOPPED"
            )
            return True
        if not found:
            raise Fault(10, f"BAD_NAME: {group}")
        if {self.programs[program] for program in found} & {"RUNNING", "STARTING", "STOPPING"}:
            raise Fault(91, f"STILL_RUNNING: {group}")
        for program in found:
            del self.programs[program]
        return True
