# shellcheck shell=sh disable=SC2154
# A cluster of its own with what the repository has, beside the server's PostgreSQL: nothing of it listens on the network, archives, or does what the
# server's own does for others (subscriptions, jobs of pg_cron). Its folder is postgres' and lies in one of root's, and nobody else reaches its socket
# while postgres reads it. An app's part of it is copied as the app: what the app has put into its database is never run by more than it.

# recovery_ask NAME DATABASE SQL
recovery_ask() { postgresql_as env PGOPTIONS='-c search_path=pg_catalog' psql -XAtq -v ON_ERROR_STOP=1 -h "/run/provision-scratch-$1" -p 5432 -d "$2" -c "$3"; }

# recovery_drop NAME: and all that it has taken of the disk.
recovery_drop() {
    systemctl stop "provision-scratch-$1-as-*.service" "provision-scratch-$1.service" 2>/dev/null || true
    systemctl reset-failed "provision-scratch-$1.service" 2>/dev/null || true
    rm -rf --one-file-system "${backups_scratch:?}/$1" "${backups_scratch:?}/$1.dump" "${backups_scratch:?}/$1.list" "${backups_scratch:?}/$1.env"
}

# recovery_served APP: whether the app is on other hosts, and has no user here.
recovery_served() { case " ${backups_served:-} " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# recovery_user APP: whether the server has a user of the app's name who is none that systemd made for a moment (systemd.exec(5), DynamicUser).
recovery_user() { uid=$(id -u "$1" 2>/dev/null) && { [ "$uid" -lt 61184 ] || [ "$uid" -gt 65519 ]; }; }

# recovery_box APP: the properties of a unit that runs as the app. For one that is on other hosts, systemd makes a user of its name for as long as the unit
# runs, whom PostgreSQL lets in as the app by that name, and who has nothing on the server, nor a network.
recovery_box() {
    if recovery_served "$1"; then
        printf '%s' "$sandbox_default"
        printf '%s\n' DynamicUser=yes "User=$1" PrivateNetwork=yes
    else
        layout_app "$1"
        sandbox_of "$1" "$app_sandbox"
    fi
}

# recovery_as APP WORD...: a program of PostgreSQL's, run as the app.
recovery_as() {
    as=$1
    shift
    if recovery_served "$as"; then
        recovery_alone "$as"
        sandbox_run "$(recovery_box "$as")" --unit="provision-scratch-restore-as-$(cat /proc/sys/kernel/random/uuid)" -p WorkingDirectory=/ -p KillMode=mixed "$@"
    else
        (cd / && runuser -u "$as" -- "$@")
    fi
}

# recovery_alone APP: systemd would take a user that there is for the one that it is to make.
recovery_alone() {
    if recovery_user "$1"; then fail "$1: this server has a user of this name, who is somebody else, and PostgreSQL lets that user in as the app: rename that user, or the app"; fi
}

# recovery_room STANZA TENTHS: whether the disk has so many tenths of what the largest backup is when it is restored.
recovery_room() {
    listed=$(backups_run "$1" --output=json info 2>&1) || fail "the backups cannot be listed: $(printf '%s\n' "$listed" | backups_reason)"
    size=$(printf '%s' "$listed" | grep -o '"size":[0-9]*' | cut -d: -f2 | sort -n | tail -n 1)
    if [ -z "$size" ]; then fail "the repository has no backup of $1"; fi
    free=$(df -B1 --output=avail "$backups_scratch" | tail -n 1)
    if [ $((free / 1000000)) -lt $((size * $2 / 10 / 1000000 + 200)) ]; then
        fail "not enough room to restore beside: $((size * $2 / 10 / 1000000 + 200)) MB are needed, $(room "$backups_scratch")"
    fi
}

# recovery_last [TEXT WITH RELEASE]: the last backup in `listed`; where the text has a release's id, whose first part is when that began, the last
# one that was over by then.
recovery_last() {
    begun=$(printf '%s' "${1:-}" | sed -n 's|.*/\([0-9]\{4\}\)\([0-9][0-9]\)\([0-9][0-9]\)T\([0-9][0-9]\)\([0-9][0-9]\)\([0-9][0-9]\)-.*|\1-\2-\3 \4:\5:\6 UTC|p')
    if [ -n "$begun" ]; then begun=$(date -d "$begun" +%s); fi
    printf '%s' "$listed" | grep -o '"label":"[^"]*"\|"stop":[0-9][0-9]*' |
        awk -F '[":]+' -v begun="$begun" '$2 == "label" { label = $3 } $2 == "stop" && (begun == "" || $3 <= begun) { last = label } END { print last }'
}

# recovery_begin NAME STANZA TENTHS WORD...: WORDs say to pgBackRest what to restore. The cluster answers when this returns.
recovery_begin() {
    name=$1 stanza=$2 tenths=$3
    shift 3
    (umask 022 && install -d -m 711 "$backups_scratch")
    recovery_drop "$name"
    recovery_room "$stanza" "$tenths"
    # Without its name, pgBackRest restores no backup of an earlier PostgreSQL. What was archived since comes along.
    case $* in
    *--type=default*) set -- --set="$(recovery_last)" "$@" ;;
    *--type=name*)
        last=$(recovery_last "$*")
        if [ -z "$last" ]; then fail "the repository has no backup from before that release"; fi
        set -- --set="$last" "$@"
        ;;
    esac
    install -d -o postgres -g postgres -m 700 "$backups_scratch/$name"
    data=$backups_scratch/$name/data
    # The pgBackRest of Debian 11 does not make it.
    postgresql_as mkdir -m 700 "$data"
    said=$(backups_run "$stanza" --pg1-path="$data" --archive-mode=off "$@" restore 2>&1) || {
        recovery_drop "$name"
        fail "the backup cannot be restored: $(printf '%s\n' "$said" | backups_reason)"
    }
    version=$(postgresql_as head -c 10 "$data/PG_VERSION")
    case $version in *[!0-9]* | '') version=0 ;; esac
    programs=/usr/lib/postgresql/$version/bin
    settings=$(postgresql_ask postgres 'show config_file')
    if [ ! -x "$programs/postgres" ]; then
        recovery_drop "$name"
        fail "the backup is of PostgreSQL $version, which this server has not: add postgresql-$version to packages, or restore to a server that has it"
    fi
    systemd-run --quiet --unit="provision-scratch-$name" -p User=postgres -p KillSignal=SIGINT -p RuntimeDirectory="provision-scratch-$name" \
        -p RuntimeDirectoryMode=0700 -p WorkingDirectory=/ -p Nice=10 -p CapabilityBoundingSet= -p NoNewPrivileges=yes -p PrivateTmp=yes \
        -p PrivateDevices=yes -p ProtectSystem=strict -p ReadWritePaths="-/run/postgresql $backups_scratch" -p ProtectHome=read-only -p RestrictSUIDSGID=yes \
        "$programs/postgres" -D "$data" -c config_file="$settings" -c data_directory="$data" \
        -c listen_addresses= -c port=5432 -c unix_socket_directories="/run/provision-scratch-$name" -c external_pid_file="$data/scratch.pid" \
        -c archive_mode=off -c hot_standby=off -c ssl=off -c shared_buffers=64MB -c huge_pages=off -c logging_collector=off \
        -c log_destination=stderr -c cluster_name="scratch/$name" \
        -c max_logical_replication_workers=0 -c synchronous_standby_names= -c cron.launch_active_jobs=off
    recovery_await "$name" "$*"
}

# recovery_await NAME WORDS: the cluster answers. Where it does not, it goes, and the reason is said; the words are what was to be restored.
recovery_await() {
    until recovery_ask "$1" postgres 'select 1' >/dev/null 2>&1; do
        if ! systemctl is-active --quiet "provision-scratch-$1.service"; then
            journalctl --sync 2>/dev/null || true
            why=$(journalctl -q -o cat --no-pager -n 50 -u "provision-scratch-$1.service" | sed -n 's/^.*FATAL: *//p' | grep -v '^the database system is' | tail -n 1 | tr -d '\000-\037' | cut -c1-200)
            recovery_drop "$1"
            case $why in
                *'before configured recovery target'*)
                    case $2 in *--type=name*) fail "the backups have no point before that release: it migrated nothing, or they began later; --at takes a time" ;; esac
                    fail "the repository has nothing as late as that: without --at, the newest is restored" ;;
                *) fail "the restored cluster does not start: ${why:-journalctl -u provision-scratch-$1 on the server says why}" ;;
            esac
        fi
        sleep 0.3
    done
}

# recovery_unset NAME DATABASE: what an app has set for its database holds for the app alone. With a statement_timeout, it could keep its data from being
# looked at and restored.
recovery_unset() {
    whose="setdatabase = (select oid from pg_database where datname = '$2') and setrole"
    recovery_ask "$1" postgres "update pg_db_role_setting set setrole = (select oid from pg_authid where rolname = '$2') where $whose = 0
        and exists (select from pg_authid where rolname = '$2') and not exists (select from pg_db_role_setting where $whose = (select oid from pg_authid where rolname = '$2'));
        delete from pg_db_role_setting where $whose = 0"
}

# recovery_amcheck NAME DATABASE: its tables and indexes are whole. PostgreSQL 13 has no pg_amcheck: there, all of it is read. Where amcheck is in a
# schema of the app's, that may have functions of the same name beside it which fit better, and PostgreSQL's superuser would run those.
recovery_amcheck() {
    if [ -x "$programs/pg_amcheck" ]; then
        said=$(recovery_ask "$1" "$2" "select 'alter extension amcheck set schema pg_catalog' from pg_extension where extname = 'amcheck' and extnamespace <> 'pg_catalog'::regnamespace" 2>&1) || return 1
        if [ -n "$said" ]; then said=$(recovery_ask "$1" "$2" "$said" 2>&1) || return 1; fi
        said=$(postgresql_as "$programs/pg_amcheck" -h "/run/provision-scratch-$1" --install-missing -d "$2" 2>&1)
    else
        said=$(postgresql_as "$programs/pg_dump" -h "/run/provision-scratch-$1" "$2" 2>&1 >/dev/null)
    fi || {
        said=$(printf '%s\n' "$said" | tr -d '\000-\010\013-\037' | head -n 2 | paste -s -d ' ' - | cut -c1-300)
        return 1
    }
}

# recovery_settle_wal: what was written until now is in the repository, with a commit after it: a moment is found by what comes after.
recovery_settle_wal() {
    postgresql_ask postgres 'select txid_current()' >/dev/null
    segment=$(postgresql_ask postgres 'select pg_walfile_name(pg_switch_wal())')
    tries=0
    until [ "$(postgresql_ask postgres "select coalesce(left(last_archived_wal, 24) >= '$segment', false) from pg_stat_archiver")" = t ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 120 ]; then fail "PostgreSQL cannot archive what it has: invoke status says since when"; fi
        sleep 0.5
    done
}

# recovery_restore APP NEW STANZA OWN WORD...: the database APP of the repository's STANZA as the database NEW, which belongs to the app. WORDs say
# what to restore. OWN=yes: the stanza is that of this server.
recovery_restore() {
    app=$1 new=$2 from=$3 own=$4
    shift 4
    if ! postgresql_ours "$app"; then fail "$app: has no database here yet: invoke provision makes it"; fi
    if [ "$own" = yes ] && [ -z "$(backups_foreign)" ]; then recovery_settle_wal; fi
    recovery_begin restore "$from" 32 "$@"
    (
        trap 'recovery_drop restore' EXIT
        if [ "$(recovery_ask restore postgres "select count(*) from pg_database where datname = '$app'")" != 1 ]; then
            fail "$app: the backup has no database of this name"
        fi
        recovery_unset restore "$app"
        # What the check needs is none of the app's.
        extensions=$(recovery_ask restore "$app" "select extname from pg_extension where extname ~ '^[a-z0-9_-]+$'")
        recovery_amcheck restore "$app" || fail "$app: the restored database is damaged: $said"
        recovery_copy "$app" "$new" "$extensions"
    )
}

# recovery_whose APP NEW: ours, for what an earlier restore left under that name; theirs, for what somebody else made. One that a killed run has not
# marked yet lets nobody in.
recovery_whose() {
    postgresql_ask postgres "select case when pg_get_userbyid(datdba) = '$1' and (datconnlimit = 0 or shobj_description(oid, 'pg_database') = 'Restored by provision.')
        then 'ours' else 'theirs' end from pg_database where datname = '$2'"
}

# recovery_copy APP NEW "EXTENSION EXTENSION..."
recovery_copy() {
    form=$(recovery_ask restore postgres "select format('encoding %L lc_collate %L lc_ctype %L', pg_encoding_to_char(encoding), datcollate, datctype) from pg_database where datname = '$1'")
    case $(recovery_whose "$1" "$2") in
    ours) postgresql_ask postgres "drop database \"$2\"" ;;
    theirs) fail "$1: PostgreSQL has a database $2 that no restore made: give it another name, then run again" ;;
    esac
    postgresql_ask postgres "create database \"$2\" owner \"$1\" template template0 connection limit 0 $form"
    postgresql_ask postgres "revoke all on database \"$2\" from public"
    postgresql_ask postgres "comment on database \"$2\" is 'Restored by provision.'"
    # Nobody but the superuser, who runs extensions' scripts, is in the database before they have run.
    for extension in $3; do
        postgresql_ask "$2" "create extension if not exists \"$extension\" schema public" || fail "$1: PostgreSQL has no extension $extension: add its package to packages"
    done
    postgresql_ask postgres "alter database \"$2\" connection limit -1"
    dump=$backups_scratch/restore.dump list=$backups_scratch/restore.list
    postgresql_as "$programs/pg_dump" -h /run/provision-scratch-restore -Fc "$1" >"$dump"
    # The list has numbers only, so that anybody may read it.
    recovery_as "$1" pg_restore -l <"$dump" | grep -vE '^[0-9; ]+(COMMENT - )?EXTENSION ' | sed -n 's/^\([0-9][0-9]*;\).*/\1/p' | put "$list" root root 644
    recovery_as "$1" pg_restore -h /run/postgresql -d "$2" --no-owner --exit-on-error --single-transaction -L "$list" <"$dump" ||
        fail "$1: the database cannot be copied: the reason stands above"
    counted="select count(*) from pg_class where relkind in ('r', 'p', 'S', 'v', 'm', 'i') and relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
    if [ "$(recovery_ask restore "$1" "$counted")" != "$(postgresql_ask "$2" "$counted")" ]; then fail "$1: the copy does not have all that was restored"; fi
    recovery_as "$1" vacuumdb -q -h /run/postgresql --analyze-only -d "$2" </dev/null 2>&1 || true
}

# recovery_switch APP NEW KEPT: NEW takes the app's name, and what had it is KEPT under another. Both in one commit, once nobody is connected.
recovery_switch() {
    postgresql_ask postgres "comment on database \"$1\" is 'Kept by provision.'"
    postgresql_ask postgres "alter database \"$1\" connection limit 0"
    tries=0
    until postgresql_ask postgres "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname in ('$1', '$2')" >/dev/null &&
        said=$(postgresql_ask postgres "begin; alter database \"$1\" rename to \"$3\"; alter database \"$2\" rename to \"$1\"; comment on database \"$1\" is null; commit" 2>&1); do
        tries=$((tries + 1))
        if [ "$tries" -gt 40 ]; then
            postgresql_ask postgres "alter database \"$1\" connection limit -1"
            printf '%s\n' "$said"
            fail "$1: somebody stays connected to its database, and it cannot be switched: the restored one is $2"
        fi
        sleep 0.25
    done
    postgresql_ask postgres "alter database \"$3\" connection limit -1"
    notice "$1: its database is the restored one; what there was is kept as $3: invoke restore --discard drops it"
}

# In: NUMBER. Out: foreign=yes where the repository has backups of an earlier PostgreSQL, and nobody has decided about them.
recovery_probe_foreign() { while read -r number; do if [ -n "$(backups_foreign)" ]; then printf '%s\tforeign=yes\n' "$number"; fi; done; }

# recovery_earlier: the repository has, or had when that was restored, backups of an earlier server. Those of this one are of nothing yet.
recovery_earlier() {
    if [ -e "$backups_state/foreign" ] || [ -e "$backups_state/restored" ]; then return 0; fi
    fail "the repository has no backups of an earlier $backups_stanza: --from names the host whose database to restore; without --deploy, this server's own newest backup is restored"
}

# recovery_settled: timers make backups of this PostgreSQL from now on, and the first begins.
recovery_settled() {
    if [ -z "$(backups_foreign)" ]; then return 0; fi
    : | put "$backups_state/restored" root root 600
    rm -f "$backups_state/foreign"
    systemctl start --no-block provision-backup@full.service
}

# recovery_kept APP: databases of the app's that were restored beside, or kept, one a line.
recovery_kept() {
    postgresql_ask postgres "select datname from pg_database where datname <> '$1' and datdba = (select oid from pg_roles where rolname = '$1')
        and shobj_description(oid, 'pg_database') in ('Restored by provision.', 'Kept by provision.') order by 1" 2>/dev/null
}

# In: NUMBER APP NEW BESIDE. Out: role=ours where the app has one, taken=yes where there is a database of the name NEW, beside=theirs where one of the
# name BESIDE is not a restore's, user=yes where the server has a user of the app's name, and kept, in a record for each.
recovery_probe() {
    while IFS='	' read -r number app new beside; do
        command -v psql >/dev/null || continue
        if postgresql_ours "$app"; then printf '%s\trole=ours\n' "$number"; fi
        if [ -n "$(postgresql_ask postgres "select 1 from pg_database where datname = '$new'" 2>/dev/null)" ]; then printf '%s\ttaken=yes\n' "$number"; fi
        if [ "$(recovery_whose "$app" "$beside" 2>/dev/null)" = theirs ]; then printf '%s\tbeside=theirs\n' "$number"; fi
        if recovery_user "$app"; then printf '%s\tuser=yes\n' "$number"; fi
        recovery_kept "$app" | sed "s/^/$number	kept=/"
    done
}

# recovery_discard APP DATABASE...
recovery_discard() {
    of=$1
    shift
    for each; do
        if recovery_kept "$of" | grep -qxF -e "$each"; then postgresql_ask postgres "drop database \"$each\" with (force)"; fi
    done
}

# recovery_drill: for the timer: the newest is restored, looked at, and dropped again; what came of it is noted. Without a program of its own that
# can tell more, an app's part is good when its tables are whole, Alembic knows where they are, and the inventory's query has an answer.
recovery_drill() {
    begun=$(date +%s)
    if said=$("$backups_program" recovery_practise 2>&1); then
        backups_note drill "ok $(($(date +%s) - begun)) $(printf '%s\n' "$said" | tail -n 1)"
    else
        why=$(printf '%s\n' "$said" | sed 's/^error: //' | tail -n 1 | cut -c1-300)
        recovery_drop drill
        backups_note drill "${why:-it failed}"
        printf '%s\n' "$why" >&2
        exit 1
    fi
}

# recovery_practise: prints, last of all, of when the newest restored commit is.
recovery_practise() {
    recovery_begin drill "$backups_stanza" 12 --type=default
    newest=$(recovery_ask drill postgres "select extract(epoch from pg_last_xact_replay_timestamp())::bigint")
    for app in $backups_apps; do
        recovery_unset drill "$app"
        recovery_amcheck drill "$app" || fail "$app: the restored database is damaged: $said"
    done
    # From here on, the apps ask, each its own database.
    chmod 711 /run/provision-scratch-drill
    for app in $backups_apps; do
        if recovery_served "$app"; then recovery_alone "$app"; else recovery_alembic "$app"; fi
        query=$(backups_query "$app")
        if [ -n "$query" ]; then
            command_told recovery_query "$app" "$query" ||
                fail "$app: database.check failed on the restored database: $(printf '%s' "$told" | head -n 1 | cut -c1-200)"
            case $told in '' | f | 0) fail "$app: database.check answers \"$told\" on the restored database" ;; esac
        fi
    done
    recovery_drop drill
    printf '%s\n' "${newest:-0}"
}

# recovery_query APP QUERY: what the restored database answers the app. Views and functions in it are the app's, and their answer may have no end; so
# it is asked as all of the app's commands run, and nothing of that goes on. systemd would read some of a query in an argument as its own. The
# time is this unit's: what the app lets a statement take is for its own.
recovery_query() {
    box=$(recovery_box "$1") || return 1
    printf 'QUERY="%s"\n' "$(printf '%s' "$2" | sed 's/[\\"$`]/\\&/g')" | put "$backups_scratch/drill.env" root root 600 || return 1
    # shellcheck disable=SC2016 # the variable is in the file
    sandbox_run "$box" -p EnvironmentFile="$backups_scratch/drill.env" -p WorkingDirectory=/ -p KillMode=mixed -p RuntimeMaxSec=600 \
        sh -c 'exec env PGOPTIONS="-c statement_timeout=0" psql -XAtq -v ON_ERROR_STOP=1 -v FETCH_COUNT=1000 -h /run/provision-scratch-drill -d "$0" -c "$QUERY"' "$1" </dev/null
}

# recovery_alembic APP: where the active release uses Alembic and the database of its name, that reads the restored one, as the app and in its sandbox.
recovery_alembic() {
    layout_app "$1"
    slot=$(readlink "$app_active_slot" 2>/dev/null) || return 0
    layout_slot "$1" "$slot"
    release=$(readlink -f "$slot_release")
    IFS='	' read -r _ folder _ <"$release/.release"
    if [ ! -e "$release/$folder/alembic.ini" ]; then return 0; fi
    # An address of the inventory's own may have a password, which is for no argument.
    sed -n 's|^\(DATABASE_URL=.*host=\)/run/postgresql|\1/run/provision-scratch-drill|p' "$slot_env" | put "$backups_scratch/drill.env" root root 600
    if [ ! -s "$backups_scratch/drill.env" ]; then return 0; fi
    command_told sandbox_run "$(sandbox_of "$1" "$slot_sandbox")" -p EnvironmentFile="$slot_env" -p EnvironmentFile="$backups_scratch/drill.env" \
        -p WorkingDirectory="$release/$folder" -p KillMode=mixed -p RuntimeMaxSec=600 --setenv=PATH="$slot_venv/bin:/usr/local/bin:/usr/bin:/bin" --setenv=PYTHONDONTWRITEBYTECODE=1 \
        env alembic current </dev/null || fail "$1: alembic current fails on the restored database: $(printf '%s\n' "$told" | tail -n 1 | cut -c1-200)"
    if ! printf '%s\n' "$told" | grep -qE '^[A-Za-z0-9_-]+( \(.*\))*$'; then fail "$1: Alembic finds no revision in the restored database"; fi
}
