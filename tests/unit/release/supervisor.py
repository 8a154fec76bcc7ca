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
    """What stands for Supervisor: `programs` are those that it has, with their states. `asked` is each call."""

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

    def _dispatch(self, method: str, params: Any) -> Any:
        name = method.removeprefix("supervisor.")
        self.asked.append((name, *params))
        match name:
            case "getState":
                return {"statecode": 1, "statename": "RUNNING"}
            case "getAllProcessInfo":
                return [{**INFO, "name": each, "group": each} for each in self.programs]
            case "reloadConfig":
                return [[[], [], []]]
        program = params[0]
        if name == "addProcessGroup" and program in self.programs:
            raise Fault(90, f"ALREADY_ADDED: {program}")
        if name == "addProcessGroup" and program not in self.refused:
            self.programs[program] = "STOPPED"
            return True
        if program not in self.programs:
            raise Fault(10, f"BAD_NAME: {program}")
        if name == "getProcessInfo":
            return {**INFO, "name": program, "group": program, "statename": self.programs[program]}
        if name == "removeProcessGroup":
            del self.programs[program]
        if name == "startProcess":
            if self.programs[program] == "RUNNING":
                raise Fault(60, f"ALREADY_STARTED: {program}")
            if program in self.refused:
                raise Fault(50, f"SPAWN_ERROR: {program}")
            self.programs[program] = "RUNNING"
        if name == "stopProcess":
            self.programs[program] = "STOPPED"
        return True
