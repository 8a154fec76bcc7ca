"""The other end of machine.as_root: one call of the lab's, as JSON, under sudo."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stdout

from provision import lab


def main(call: str) -> None:
    """Make the call (JSON: name, positional and named arguments) and print its result, or the LabError, as JSON."""
    name, args, kwargs = json.loads(call)
    answer: dict[str, object]
    try:
        with redirect_stdout(sys.stderr):
            result = getattr(lab, name)(*args, **kwargs)
    except lab.LabError as problem:
        answer = {"error": str(problem)}
    else:
        answer = {"result": vars(result) if isinstance(result, subprocess.CompletedProcess) else result}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
