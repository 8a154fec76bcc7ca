"""What a program reads: one JSON document."""

import json
from collections.abc import Sequence

from provision.run.result import Result


def document(task: str, results: Sequence[Result], seconds: float) -> str:
    """The document for a task. `release` is a host's one release; `releases` has them by app."""
    return json.dumps(
        {
            "task": task,
            "ok": all(result.error is None for result in results),
            "seconds": round(seconds, 3),
            "hosts": {result.host: _host(result) for result in results},
        },
        indent=2,
    )


def failure(task: str, errors: Sequence[str], seconds: float) -> str:
    """The document for a task that reached no host."""
    return json.dumps(
        {"task": task, "ok": False, "seconds": round(seconds, 3), "hosts": {}, "errors": list(errors)},
        indent=2,
    )


def _host(result: Result) -> dict[str, object]:
    return {
        "status": result.status,
        "ok": result.ok,
        "changed": result.changed,
        "failed": result.failed,
        "skipped": result.skipped,
        "execs": result.execs,
        "seconds": result.seconds,
        "release": next(iter(result.releases.values())) if len(result.releases) == 1 else None,
        "releases": dict(result.releases),
        "previews": dict(result.previews),
        "changes": [
            {
                "id": change.id,
                "summary": change.summary,
                "diff": change.diff,
                "seconds": result.took.get(change.ref),
            }
            for change in result.changes
        ],
        "notes": list(result.notices),
        "error": result.error,
    }
