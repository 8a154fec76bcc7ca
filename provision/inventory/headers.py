"""Headers by which browsers protect an app's pages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from provision.inventory.fields import matching
from provision.inventory.model import Model

Value = Annotated[
    str,
    # nginx has no way to write a dollar as such.
    matching(
        r"[ !-#%-\[\]-~]{1,4000}", '"{}" is not a value for nginx: write it in one line, without $ and backslashes'
    ),
]


class Headers(Model):
    """Headers that nginx adds to all answers of a site, each only where the app's own answer has none of its name.

    By default, those that no usual page notices. The others depend on what the pages load and who opens them, so they are by request
    (docs/security.md).
    """

    content_type_options: Literal["nosniff", "none"] = Field(
        default="nosniff",
        description="X-Content-Type-Options: nosniff, files are what their type says; none: not sent.",
        examples=["nosniff"],
    )
    frame_options: Literal["SAMEORIGIN", "DENY", "none"] = Field(
        default="SAMEORIGIN",
        description="X-Frame-Options: who may show a page in a frame, its own site or nobody; none: not sent, for pages that other sites"
        " embed.",
        examples=["DENY"],
    )
    referrer_policy: Value = Field(
        default="strict-origin-when-cross-origin",
        description="Referrer-Policy: what other sites learn of the address that a visitor comes from; none: not sent.",
        examples=["same-origin"],
    )
    permissions_policy: Value = Field(
        default="bluetooth=(), hid=(), midi=(), serial=(), usb=()",
        description="Permissions-Policy: which of a browser's abilities pages may ask for; none: not sent.",
        examples=["camera=(), geolocation=(), microphone=()"],
    )
    opener_policy: Literal["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "none"] = Field(
        default="none",
        description="Cross-Origin-Opener-Policy: whether a page and the window that opened it may reach each other; none: not sent.",
        examples=["same-origin"],
    )
    content_security_policy: Value = Field(
        default="none",
        description="Content-Security-Policy: where scripts, styles and the like may come from; none: not sent.",
        examples=["default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"],
    )

    @property
    def sent(self) -> dict[str, str]:
        """The headers to send, by their names."""
        named = {
            "X-Content-Type-Options": self.content_type_options,
            "X-Frame-Options": self.frame_options,
            "Referrer-Policy": self.referrer_policy,
            "Permissions-Policy": self.permissions_policy,
            "Cross-Origin-Opener-Policy": self.opener_policy,
            "Content-Security-Policy": self.content_security_policy,
        }
        return {name: value for name, value in named.items() if value != "none"}
