"""Every path of an app on a server, once: for Python, for the shell, for templates, for checks and for docs/server.md."""

from provision.engine.layout import Place, Places
from provision.release.backup_layout import BackupPlaces, SharedBackupPlaces
from provision.resources.file import Directory, File

APP, BUILDER, NGINX, REDIS = "{app}", "{app}-build", "www-data", "kv_{app}"
SLOTS = ("blue", "green")


class SlotLayout(Places):
    """What one slot of an app runs with: its own copies and links, which stay as they are while it serves."""

    prefix = "slot"
    keys = ("app", "slot")

    folder = Place("/etc/{app}/{slot}", "directory", "what the slot runs with", "root", APP, 0o750)
    env = Place("/etc/{app}/{slot}/env", "file", "its copy of the environment", "root", APP, 0o640)
    gunicorn = Place(
        "/etc/{app}/{slot}/gunicorn.conf.py", "file", "its copy of Gunicorn's configuration", "root", APP, 0o640
    )
    sandbox = Place("/etc/{app}/{slot}/sandbox", "file", "its copy of the sandbox", "root", APP, 0o640)
    release = Place("/etc/{app}/{slot}/release", "link", "its release")
    venv = Place("/etc/{app}/{slot}/venv", "link", "its virtual environment")
    units = Place(
        "/etc/{app}/{slot}/units", "directory", "its copies of what the process manager reads", "root", APP, 0o750
    )
    manager = Place("/etc/{app}/{slot}/manager", "file", "the process manager that runs it", mode=0o644)
    fingerprint = Place("/etc/{app}/{slot}/fingerprint", "file", "a hash of all that it runs with", mode=0o644)
    static = Place(
        "/srv/{app}/static/{slot}", "directory", "copies of the static files of its release", "root", NGINX, 0o750
    )
    copied = Place(
        "/etc/{app}/{slot}/static", "file", "which folders those are copies of, and what they had in them", mode=0o644
    )
    socket = Place(
        "/run/{app}/{slot}.sock",
        "socket",
        "where its Gunicorn listens; the process manager holds it, so requests wait while Gunicorn restarts",
        "root",
        NGINX,
        0o660,
    )


class ReleaseLayout(Places):
    """One release of an app."""

    prefix = "release"
    keys = ("app", "release")

    folder = Place(
        "/srv/{app}/releases/{release}",
        "directory",
        "one commit, exported; the app can only read it",
        "root",
        APP,
        0o750,
    )
    stamp = Place(
        "/srv/{app}/releases/{release}/.release",
        "file",
        "its commit, the app's folder and those in `shared`; its youngest file",
        mode=0o644,
    )
    venv = Place("/srv/{app}/releases/{release}/.venv", "link", "its virtual environment")
    built = Place(
        "/srv/{app}/releases/{release}/.built",
        "file",
        "with `build`: which builds its built files come from",
        mode=0o644,
    )
    packages = Place(
        "/srv/{app}/releases/{release}/.packages", "file", "the versions that its virtual environment has", mode=0o644
    )
    upgraded = Place(
        "/srv/{app}/releases/{release}/.upgraded",
        "file",
        "the last release for which versions were resolved anew (`deploy --upgrade`), if there was one",
        mode=0o644,
    )
    record = Place(
        "/var/lib/provision/apps/{app}/releases/{release}",
        "file",
        "how its deploy went, when, and by whom; what it ran with",
        mode=0o600,
    )


class CacheLayout(Places):
    """An app's Redis, or Valkey, with `cache: redis`, `valkey` or `redis-server`."""

    prefix = "cache"
    keys = ("app",)

    settings = Place("/etc/provision/redis/{app}.conf", "file", "what it starts with", mode=0o644)
    rights = Place(
        "/etc/provision/redis/{app}.acl",
        "file",
        "what the app may do in it, and the SHA-256 of root's password",
        group=APP,
        mode=0o640,
    )
    password = Place(
        "/etc/provision/redis/{app}.password",
        "file",
        "root's password, to administer it; made once",
        mode=0o600,
    )
    limits = Place(
        "/etc/systemd/system/provision-redis@{app}.service.d/provision.conf",
        "file",
        "how much memory it has",
        mode=0o644,
    )
    program = Place(
        "/etc/systemd/system/provision-redis@{app}.service.d/engine.conf",
        "file",
        "with Valkey, which program it runs",
        mode=0o644,
    )
    socket = Place(
        "/run/provision-redis/{app}/redis.sock",
        "socket",
        "where it listens",
        REDIS,
        APP,
        0o770,
        "root, the app's Redis",
    )
    data = Place(
        "/var/lib/private/provision-redis/{app}",
        "directory",
        "what it writes to the disk with `cache.persistent`",
        REDIS,
        APP,
        0o700,
        "root, the app's Redis",
    )


class LoginLayout(Places):
    """An app's login to the PostgreSQL of another host, with `database.host`."""

    prefix = "login"
    keys = ("app",)

    password = Place(
        "/etc/{app}/database.login", "file", "its password; made once, and kept as long as the app", mode=0o600
    )
    root = Place("/etc/{app}/database.crt", "file", "where that server's certificate must be from", "root", APP, 0o640)


class Layout(Places):
    """The paths of one app: `Layout("shop").releases` is /srv/shop/releases."""

    prefix = "app"
    keys = ("app",)

    home = Place("/srv/{app}", "directory", "the app's place", mode=0o755)
    repository = Place("/srv/{app}/repository.git", "directory", "a bare mirror of the app's repository", mode=0o700)
    releases = Place("/srv/{app}/releases", "directory", "a folder for each release", mode=0o755)
    venvs = Place(
        "/srv/{app}/venvs",
        "directory",
        "virtual environments, shared by releases with the same requirements; the app can only read them",
        mode=0o755,
    )
    build = Place(
        "/srv/{app}/build", "directory", "what is being built; the builder sees nothing else of it", mode=0o700
    )
    builds = Place("/srv/{app}/builds", "directory", "with `build`: what was built, for releases", mode=0o700)
    shared = Place("/srv/{app}/shared", "directory", "what outlives releases", APP, APP, 0o750, "root, the app")
    current = Place("/srv/{app}/current", "link", "the active release, for people and scripts")
    preview = Place("/srv/{app}/preview", "link", "the release that can be previewed")
    static = Place(
        "/srv/{app}/static", "directory", "the files that nginx serves itself: for each slot, copies by URL", mode=0o755
    )
    static_current = Place("/srv/{app}/static/current", "link", "those of the slot that has the traffic")
    static_preview = Place("/srv/{app}/static/preview", "link", "those of the release that can be previewed")

    configuration = Place("/etc/{app}", "directory", "what the app runs with", "root", APP, 0o750)
    env = Place("/etc/{app}/env", "file", "the environment that the next activation uses", "root", APP, 0o640)
    gunicorn = Place(
        "/etc/{app}/gunicorn.conf.py", "file", "Gunicorn's configuration for the next activation", "root", APP, 0o640
    )
    sandbox = Place(
        "/etc/{app}/sandbox",
        "file",
        "the sandbox of hooks, migrations and the like, until the next",
        "root",
        APP,
        0o640,
    )
    units = Place(
        "/etc/{app}/units",
        "directory",
        "what the process manager reads from the next activation on",
        "root",
        APP,
        0o750,
    )
    active_slot = Place("/etc/{app}/current", "link", "the slot that has the traffic")
    deploy_key = Place(
        "/etc/{app}/deploy_key",
        "file",
        "with `deploy_key: generate`, the key to the repository; made once, and kept until the app is removed",
        mode=0o600,
    )
    known_hosts = Place(
        "/etc/{app}/known_hosts", "file", "the pinned host keys of a repository that is read over SSH", mode=0o644
    )
    tmpfiles = Place("/etc/tmpfiles.d/{app}.conf", "file", "makes the folder of the sockets at a boot", mode=0o644)

    sockets = Place("/run/{app}", "directory", "the sockets", "root", NGINX, 0o750)
    current_socket = Place("/run/{app}/current.sock", "link", "the socket of the slot that has the traffic")
    previous_socket = Place(
        "/run/{app}/previous.sock",
        "link",
        "for some seconds after a switch: the old slot's socket, which answers what the new one fails to",
    )
    standing_by = Place(
        "/run/{app}/standing-by", "file", "there as long as the link before it, as nginx sees no sockets", mode=0o644
    )
    preview_socket = Place("/run/{app}/preview.sock", "link", "the socket of the release that can be previewed")
    preview_tokens = Place(
        "/run/{app}/preview",
        "directory",
        "a file for each token that opens the preview",
        "root",
        NGINX,
        0o2750,
    )
    preview_slot = Place("/run/{app}/held", "file", "the slot of the release that can be previewed", mode=0o600)

    state = Place("/var/lib/provision/apps/{app}", "directory", "what is known of the app", mode=0o755)
    owner = Place(
        "/var/lib/provision/apps/{app}/owner", "file", "which inventory the app came from, and since when", mode=0o644
    )
    adopted = Place(
        "/var/lib/provision/adopted/{app}",
        "directory",
        "what the app adopted (`adopt`), as it was, until that is put back",
        mode=0o700,
    )
    records = Place(
        "/var/lib/provision/apps/{app}/releases", "directory", "how the deploy of each release went", mode=0o755
    )
    maintenance = Place(
        "/var/lib/provision/apps/{app}/maintenance", "file", "there while the site is closed", mode=0o644
    )
    unfinished = Place(
        "/var/lib/provision/apps/{app}/unfinished", "file", "there from a switch until its last step", mode=0o644
    )
    takes_over = Place(
        "/var/lib/provision/apps/{app}/takes-over",
        "file",
        "with `renamed_from`: the old name, until nothing of the app is left under that",
        mode=0o644,
    )
    checked = Place("/var/lib/provision/apps/{app}/checked", "file", "what was imported last, as a check", mode=0o644)
    migrated = Place("/var/lib/provision/apps/{app}/migrated", "file", "what migrated the database last", mode=0o644)
    migrations = Place(
        "/var/lib/provision/apps/{app}/migrations", "file", "which releases migrated the database, and how", mode=0o644
    )
    answers = Place(
        "/var/lib/nginx/provision-{app}",
        "directory",
        "with `cache.answers`, the answers that nginx keeps; it makes the folder itself",
        NGINX,
        "root",
        0o700,
        "root, nginx",
    )
    uv_cache = Place(
        "/var/cache/provision/build-{app}", "directory", "uv's cache", BUILDER, BUILDER, 0o700, "root, the builder"
    )
    npm_cache = Place(
        "/var/cache/provision/npm-{app}",
        "directory",
        "with `build`: npm's cache",
        BUILDER,
        BUILDER,
        0o700,
        "root, the builder",
    )

    @property
    def builder(self) -> str:
        """The user who builds the app's environments."""
        return BUILDER.format(**self.names)

    def slot(self, slot: str) -> SlotLayout:
        """The paths of one slot: blue, green, or a process manager's word for either."""
        return SlotLayout(self.names["app"], slot)

    def release(self, release: str) -> ReleaseLayout:
        """The paths of one release, by its id."""
        return ReleaseLayout(self.names["app"], release)


class Tools(Places):
    """What all apps share on a server."""

    prefix = "tools"
    keys = ("version",)

    uv = Place("/opt/uv/{version}", "directory", "the pinned installer of packages", mode=0o755)
    node = Place("/opt/provision/node/{version}", "directory", "Node.js with npm, for builds", mode=0o755)


class Hardened(Places):
    """What a server has of `system`, `updates`, `auditing` and `nginx` of `hardening`: files beside those of the distribution."""

    prefix = "hardened"

    kernel = Place("/etc/sysctl.d/zz-provision.conf", "file", "the kernel's settings", mode=0o644)
    journal = Place("/etc/systemd/journald.conf.d/zz-provision.conf", "file", "how large the journal gets", mode=0o644)
    dumps = Place("/etc/systemd/coredump.conf.d/zz-provision.conf", "file", "no core dump is kept", mode=0o644)
    manager = Place("/etc/systemd/system.conf.d/zz-provision.conf", "file", "services dump no core", mode=0o644)
    limits = Place("/etc/security/limits.d/zz-provision.conf", "file", "whoever logs in dumps no core", mode=0o644)
    greeting = Place("/etc/motd.d/provision", "file", "tells whoever logs in what manages the server", mode=0o644)
    updates = Place("/etc/apt/apt.conf.d/zz-provision", "file", "which updates are installed, and when", mode=0o644)
    restarts = Place(
        "/etc/needrestart/conf.d/provision.conf", "file", "needrestart leaves the apps' units alone", mode=0o644
    )
    modules = Place("/etc/modprobe.d/zz-provision.conf", "file", "modules that the kernel does not load", mode=0o644)
    idle = Place(
        "/etc/profile.d/zz-provision.sh", "file", "a shell that nobody uses ends, and none dumps core", mode=0o644
    )
    passwords = Place(
        "/etc/security/pwquality.conf.d/zz-provision.conf", "file", "how good a new password has to be", mode=0o644
    )
    integrity = Place("/etc/provision/aide.conf", "file", "which files are watched", mode=0o644)
    integrity_unit = Place(
        "/etc/systemd/system/provision-integrity.service", "file", "notes what changed in them", mode=0o644
    )
    integrity_timer = Place(
        "/etc/systemd/system/provision-integrity.timer", "file", "starts that unit once a day", mode=0o644
    )
    integrity_state = Place(
        "/var/lib/provision/integrity", "directory", "what those files were when they were last looked at", mode=0o700
    )
    swap = Place("/swapfile.provision", "file", "swap, where the server had none", mode=0o600)
    nginx = Place("/etc/systemd/system/nginx.service.d/provision.conf", "file", "nginx's sandbox", mode=0o644)
    nginx_program = Place(
        "/usr/local/lib/provision-nginx", "file", "what root does before an nginx without root starts", mode=0o755
    )
    nginx_keys = Place(
        "/run/provision-nginx",
        "directory",
        "its copies of the certificates and their keys",
        "root",
        "provision-nginx",
        0o750,
    )


PRELUDE = "".join(
    table.shell()
    for table in (
        *(Hardened, BackupPlaces, SharedBackupPlaces, Tools),
        *(Layout, CacheLayout, LoginLayout, SlotLayout, ReleaseLayout),
    )
)


def directory(places: Places, place: Place) -> Directory:
    """A directory of a table, with the owner and the mode that it has there."""
    return Directory(place.path.format(**places.names), *_attributes(places, place))


def file(places: Places, place: Place, content: str, *, secret: bool = False) -> File:
    """A file of a table with this content, and with the owner and the mode that it has there."""
    return File(place.path.format(**places.names), content, *_attributes(places, place), secret=secret)


def _attributes(places: Places, place: Place) -> tuple[str, str, int]:
    if place.mode is None:
        raise ValueError(f"{place.path} has no mode in its table")
    return place.owner.format(**places.names), place.group.format(**places.names), place.mode
