"""Mirrors of the public sources."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from provision.inventory import pem
from provision.inventory.fields import CaFile, PublicUrl, Repository, Revision, Url, parsed_from
from provision.inventory.model import Model, loaded


class Mirrors(Model):
    """Where servers fetch from if they cannot reach the public sources."""

    pyenv: Repository = Field(
        default="https://github.com/pyenv/pyenv.git",
        description="Git repository of pyenv.",
        examples=["https://github.com/pyenv/pyenv.git"],
    )
    pyenv_revision: Revision = Field(default="v2.6.30", description="Tag or commit of pyenv.", examples=["v2.6.30"])
    python: PublicUrl | None = Field(
        default=None,
        description="Mirror of the CPython source archives (pyenv's PYTHON_BUILD_MIRROR_URL).",
        examples=["https://mirror.example.com/python"],
    )
    index: Url | None = Field(
        default=None,
        description="Package index for all requirements, including those in a lock (but a pylock.toml has an address for"
        " each file). It may contain a password, so it is treated as a secret.",
        examples=["https://packages.example.com/simple"],
        repr=False,
    )
    npm: PublicUrl | None = Field(
        default=None,
        description="npm registry for builds on the server. It applies where a lock names npm's own registry, too.",
        examples=["https://packages.example.com/npm"],
    )
    ca_bundle: CaFile | None = Field(
        default=None,
        description="CA bundle that servers trust for these mirrors, relative to this inventory.",
        examples=["../ca/mirrors.pem"],
    )
    authorities: Annotated[tuple[str, ...], parsed_from("ca_bundle", pem.certificates)] = loaded(())
    """The certificates in `ca_bundle`, each in PEM form."""
