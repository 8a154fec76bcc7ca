"""Every path of backups on a server, once, as release/layout.py has those of apps."""

from provision.engine.layout import Place, Places

POSTGRES, RESTIC = "postgres", "provision-backup"


class BackupPlaces(Places):
    """What a server has with `backups`."""

    prefix = "backups"

    configuration = Place(
        "/etc/provision/pgbackrest", "directory", "what pgBackRest runs with", "root", POSTGRES, 0o750
    )
    settings = Place(
        "/etc/provision/pgbackrest/pgbackrest.conf",
        "file",
        "where the backups go, and the passphrase that they are encrypted with",
        "root",
        POSTGRES,
        0o640,
    )
    included = Place(
        "/etc/provision/pgbackrest/conf.d", "directory", "what pgBackRest reads, too", "root", POSTGRES, 0o750
    )
    cluster = Place(
        "/etc/provision/pgbackrest/conf.d/cluster.conf", "file", "where PostgreSQL's data is", "root", POSTGRES, 0o640
    )
    key = Place("/etc/provision/pgbackrest/key", "file", "the key to a repository by SFTP", "root", POSTGRES, 0o640)
    known_hosts = Place(
        "/etc/provision/pgbackrest/known_hosts", "file", "the host keys of its server", "root", POSTGRES, 0o640
    )
    program = Place(
        "/usr/local/lib/provision-backups", "file", "backs up, checks and drills, for the timers", mode=0o755
    )
    state = Place(
        "/var/lib/provision/backups", "directory", "what came of the last backup, check and drill", mode=0o700
    )
    scratch = Place(
        "/var/lib/provision/scratch", "directory", "what is restored beside, until that is done", mode=0o711
    )


class SharedBackupPlaces(Places):
    """What a server has with `backups` for the folders `shared/`."""

    prefix = "shared"

    configuration = Place("/etc/provision/restic", "directory", "what restic runs with", mode=0o711)
    settings = Place(
        "/etc/provision/restic/environment",
        "file",
        "where the backups go, the passphrase that they are encrypted with, and the key to S3",
        mode=0o600,
    )
    key = Place("/etc/provision/restic/key", "file", "the key to a repository by SFTP", "root", RESTIC, 0o640)
    known_hosts = Place("/etc/provision/restic/known_hosts", "file", "the host keys of its server", mode=0o644)
    program = Place(
        "/usr/local/lib/provision-shared-backups", "file", "backs up, checks and drills, for the timers", mode=0o755
    )
    state = Place(
        "/var/lib/provision/shared-backups", "directory", "what came of the last backup, check and drill", mode=0o700
    )
    scratch = Place(
        "/var/lib/provision/shared-scratch",
        "directory",
        "for a moment: copies of SQLite databases, and what a drill restores; each app's folder is the app's",
        mode=0o711,
    )
    cache = Place(
        "/var/cache/provision-restic", "directory", "restic's cache", RESTIC, RESTIC, 0o700, "root, provision-backup"
    )
