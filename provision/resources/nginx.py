"""What a server's nginx reads, and how this toolkit's sites live beside those of others."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from provision.engine.facts import Fact
from provision.engine.resource import Change, Probe, Record, Ref, State
from provision.engine.shell import library, words
from provision.errors import PlanError
from provision.resources import file
from provision.untrusted import line as shown
from provision.untrusted import word

LIBRARY = library(__file__)
FOLDER = "/etc/nginx"
DEFAULT, STOCK = f"{FOLDER}/sites-enabled/000-default.conf", f"{FOLDER}/sites-enabled/default"
SOCKETS = ("*:80", "[::]:80", "*:443", "[::]:443")
# Where a file can go without another that names it.
ADOPTABLE = f"{FOLDER}/(sites-enabled|conf\\.d)/[A-Za-z0-9._@+-]+"
LOOPBACK = re.compile(r"127\..*|\[::1\]|localhost")
# nginx finds a longer name in no table of the size that it gives them.
LONG = 40


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and port of a site: `*:80`, `[::]:443`, `203.0.113.10:80`."""

    socket: str
    options: frozenset[str] = frozenset()

    @property
    def default(self) -> bool:
        """Whether the site says that it answers to all names that no site has."""
        return bool(self.options & {"default_server", "default"})


@dataclass(frozen=True, slots=True)
class Server:
    """A `server` block. `first` says that nginx reads it before a site of ours, `ours` that this toolkit wrote it, and `site` that
    it speaks HTTP, and is not what passes on connections (stream) or mail.
    """

    file: str
    ours: bool
    first: bool
    listens: tuple[Listen, ...]
    names: frozenset[str]
    site: bool = True

    @property
    def public(self) -> bool:
        """Whether it has one of the ports that sites of ours have."""
        return any(re.search(":(80|443)$", listen.socket) for listen in self.listens)


@dataclass(frozen=True, slots=True)
class Nginx:
    """What nginx reads, in its order; nothing where it is not installed.

    `reads` says that it would read our sites, `foreign` are files in places of ours that somebody else wrote, `links` those in
    sites-enabled that lead to our sites (`tells`: to those that tell whoever asks from which release they answer), `sizes` those that
    set the size of the table of names, and `stock` whether there is the site that the package brings. `stranger` is the user that
    nginx runs as, if it may not open the apps' sockets.
    """

    present: bool = False
    reads: bool = False
    servers: tuple[Server, ...] = ()
    foreign: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    stock: bool = False
    stranger: str = ""
    tells: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[Server, ...]:
        """The sites that this toolkit did not write."""
        return tuple(one for one in self.servers if not one.ours)

    def without(self, files: Collection[str]) -> "Nginx":
        """What nginx reads once these files are gone."""
        return replace(self, servers=tuple(one for one in self.servers if one.file not in files))

    def alone(self, domains: Collection[str]) -> tuple[str, ...]:
        """The files of others whose sites are for these domains, which ours are to have, and for no other."""
        files: dict[str, list[Server]] = {}
        for one in self.others:
            files.setdefault(one.file, []).append(one)
        return tuple(
            path
            for path, servers in files.items()
            if re.fullmatch(ADOPTABLE, path)
            and any(one.public for one in servers)
            and all(one.site and one.names & {*domains} and one.names <= {*domains, "", "_"} for one in servers)
        )

    def has(self, socket: str) -> Iterator[tuple[Server, Listen]]:
        """The sites of others at an address and port."""
        return ((one, listen) for one in self.others for listen in one.listens if listen.socket == socket)

    def defaults(self) -> tuple[str, ...]:
        """Where a site of ours may answer to all names that no site has.

        Where another does so, it goes on: by its word, or, until ours was there, as the only one or the first of several.
        """
        ours = {listen.socket for one in self.servers if one.ours for listen in one.listens if listen.default}
        return tuple(
            socket
            for socket in SOCKETS
            if not any(listen.default for _, listen in self.has(socket))
            and (socket in ours or not any(self.has(socket)))
        )

    def http3(self) -> str:
        """A file of somebody else's that has HTTP/3; empty if there is none."""
        found = (one.file for one in self.others if any("quic" in listen.options for listen in one.listens))
        return next(found, "")

    def http2(self) -> tuple[str, ...]:
        """Where `listen ... http2` gives HTTP/2 to no site that has it not: of one socket, all have it or none."""
        return tuple(
            socket
            for socket in SOCKETS
            if not any(self.has(socket))
            or any(
                (listen.socket, "http2" in listen.options) == (socket, True)
                for one in self.servers
                for listen in one.listens
            )
        )


def _parse(records: Sequence[Record]) -> Nginx:
    servers, reads = [], False
    for each in records:
        reads = reads or "reads" in each
        if "server" in each and each["owner"] != "stock":
            servers.append(_server(each, first=not reads))
    return Nginx(
        present=any("present" in each for each in records),
        reads=reads,
        servers=tuple(servers),
        foreign=_all(records, "foreign"),
        links=_all(records, "link"),
        sizes=_all(records, "bucket"),
        stock=any(each.get("owner") == "stock" for each in records),
        stranger=next(iter(_all(records, "stranger")), ""),
        tells=_all(records, "tells"),
    )


def _all(records: Sequence[Record], key: str) -> tuple[str, ...]:
    return tuple(each[key] for each in records if key in each)


def _server(each: Record, first: bool) -> Server:
    listens = tuple(_listen(text.split(" ")) for text in each["listens"].split("|") if text)
    ours = word(each, "owner", "provision|other") == "provision"
    # QUIC is UDP's, and decides nothing about who answers on TCP.
    streams = tuple(one for one in listens if not (ours and "quic" in one.options))
    return Server(
        each["server"],
        ours,
        first,
        streams if listens else (Listen("*:80"),),
        frozenset(each["names"].split()),
        word(each, "context", "http|stream|mail") == "http",
    )


def _listen(said: Sequence[str]) -> Listen:
    address, options = said[0], frozenset(said[1:])
    if re.fullmatch("[0-9]+", address):
        address = f"*:{address}"
    elif not re.search(r":[0-9]+$", address) and not address.startswith("unix:"):
        address = f"{address}:80"
    return Listen(re.sub(r"^0\.0\.0\.0:", "*:", address), options)


NO_WAYS: Mapping[str, str] = MappingProxyType({})
NGINX = Fact("nginx", "nginx_facts", LIBRARY, _parse)


def refuse(nginx: Nginx, domains: Mapping[str, str], paths: Collection[str], ways: Mapping[str, str] = NO_WAYS) -> None:
    """Raises PlanError if sites for these domains, each of an app, at these paths would not be served, or would take from others
    what they have. `ways` has what else could be done about a file that has one of the domains.
    """
    if nginx.present and not nginx.reads:
        raise PlanError(
            f"{FOLDER}/nginx.conf does not include {FOLDER}/sites-enabled/*.conf in its http block, so nginx would not read this "
            f"toolkit's sites: add the line include {FOLDER}/sites-enabled/*; at the end of that block"
        )
    if nginx.stranger:
        user = shown(nginx.stranger, 40)
        raise PlanError(
            f"nginx runs as {user} ({FOLDER}/nginx.conf), who may not open the apps' sockets: run usermod -aG www-data {user} and "
            "systemctl reload nginx on the server, or write user www-data there"
        )
    for path in nginx.foreign:
        if path in paths:
            raise PlanError(f"{shown(path, 120)} was not written by this toolkit, and its place is wanted: rename it")
    for server in nginx.others:
        _refuse_names(server, domains, ways)
        for listen in server.listens:
            _refuse_address(nginx, server, listen)
    for socket in SOCKETS:
        _refuse_order(nginx, socket)


def _refuse_names(server: Server, domains: Mapping[str, str], ways: Mapping[str, str]) -> None:
    served = {name.removeprefix(".") for name in server.names}
    for domain, app in domains.items():
        if server.public and domain in served:
            raise PlanError(
                f"{app}: {domain} is served by {shown(server.file, 120)}, which this toolkit did not write: take the name out of "
                f"that file, or out of the inventory{ways.get(server.file, '')}"
            )


def _refuse_address(nginx: Nginx, server: Server, listen: Listen) -> None:
    """What is bound to one address keeps nginx from taking all while it runs, and has that address's requests to itself."""
    file, (address, _, port) = shown(server.file, 120), listen.socket.rpartition(":")
    if listen.socket.startswith("unix:") or port not in ("80", "443"):
        return
    if not server.site:
        raise PlanError(
            f"{file} has port {port} for what is no site (a server of stream or mail), and this toolkit's sites need it: give it "
            "another port, or use a server of its own"
        )
    if LOOPBACK.fullmatch(address) and port == "80" and any(nginx.has("*:80")):
        # A page for the server itself, such as nginx's status.
        return
    if listen.socket not in SOCKETS:
        raise PlanError(
            f"{file} listens on {shown(listen.socket, 60)}, where nginx would ask no site that listens on all addresses, as this "
            f"toolkit's do: write listen {port} there and restart nginx, or use a server of its own"
        )
    if "ipv6only=off" in listen.options:
        raise PlanError(
            f"{file} has IPv4 and IPv6 on one socket ({listen.socket} ipv6only=off), and this toolkit's sites one for each: write "
            f"listen {port} and listen [::]:{port} there and restart nginx, or use a server of its own"
        )


def _refuse_order(nginx: Nginx, socket: str) -> None:
    there = [] if socket in nginx.defaults() else list(nginx.has(socket))
    if there and not there[0][0].first and not any(listen.default for _, listen in there):
        raise PlanError(
            f"{shown(there[0][0].file, 120)} answers to all names that no site has, as nginx reads it first, and would read this "
            f"toolkit's before it: write default_server after its listen for port {socket.rpartition(':')[2]}"
        )


@dataclass(frozen=True, slots=True)
class NoStockSite:
    """The site that the distribution's package enables, as it comes, is nobody's: a site of ours answers to all names.

    `there` says that it is enabled; `installs` is the resource that installs nginx, and with it that site.
    """

    there: bool
    installs: Ref
    path: str = field(default=STOCK, init=False)

    @property
    def ref(self) -> Ref:
        return Ref("absent", self.path)

    def probe(self) -> Probe:
        return Probe("file_probe", file.LIBRARY, (self.path, "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not (state if self.there else self.installs in earlier and not state):
            return None
        keep = f"{words('found_keep', 'nginx', self.path)}\n" if self.there else ""
        return Change(self.ref, f"remove {self.path}", f"{keep}{words('rm', '-f', self.path)}", file.LIBRARY)


@dataclass(frozen=True, slots=True)
class AdoptedSite:
    """A site of somebody else's is gone, as an app has its names; what it was is kept in the folder `record`."""

    path: str
    app: str
    record: str

    @property
    def ref(self) -> Ref:
        return Ref("absent", self.path)

    def probe(self) -> Probe:
        return Probe("file_probe", file.LIBRARY, (self.path, "-"))

    def plan(self, state: State, earlier: Mapping[Ref, Change]) -> Change | None:
        if not state:
            return None
        summary = f"{self.app}: adopts {self.path}, kept until the app is removed"
        return Change(self.ref, summary, words("found_adopt", self.record, self.path), file.LIBRARY)


def conflicts(domains: Iterable[str]) -> str:
    """What nginx's warning has when it ignores one of these names, as two sites have it: an extended regular expression."""
    names = "|".join(re.sub(r"([.*])", r"\\\1", domain) for domain in domains)
    return f'conflicting server name "({names})"' if names else ""
