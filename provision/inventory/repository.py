"""Addresses of Git repositories (git-clone(1), "Git URLs")."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def repository(value: str) -> str:
    """A repository's address. Raises ValueError for one that Git would not understand, or that has a password."""
    url = re.fullmatch(r"(https?|ssh|git|file)://[^\s'\"\\]+", value)
    try:
        ssh_endpoint(value)
    except ValueError:
        raise ValueError("not a port; write ssh://HOST:PORT/PATH with a number") from None
    scp = re.fullmatch(r"([\w.-]+@)?[\w.-]+:[^\s:'\"\\][^\s'\"\\]*", value) and "://" not in value and value[0] != "-"
    if not (url or scp or re.fullmatch(r"/[^\s'\"\\]+", value)):
        raise ValueError("not a git repository; write https://HOST/PATH, ssh://HOST/PATH, git@HOST:PATH or /PATH")
    if url and re.match(r"[a-z]+://[^/@]*:[^/]*@|https?://[^/]*@", value):
        raise ValueError(
            "a password or token in a repository's address would be seen on the server; use an SSH address and a key"
        )
    return value


def ssh_endpoint(value: str) -> tuple[str, int] | None:
    """The host and port of a repository's SSH address; None for other addresses. Raises ValueError for a bad port."""
    if "://" not in value:
        host = value.partition(":")[0].rpartition("@")[2] if not value.startswith("/") else ""
        return (host.lower(), 22) if host else None
    parts = urlsplit(value)
    return (parts.hostname, parts.port or 22) if parts.scheme == "ssh" and parts.hostname else None
