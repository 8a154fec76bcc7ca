"""The entry for Invoke: `invoke --list` shows what there is."""

from provision.tasks import namespace

__all__ = ["namespace"]
