# shellcheck shell=sh disable=SC2154
# Backups of the server's PostgreSQL, by pgBackRest. It runs as PostgreSQL's user: root reads nothing that this user could write, and only
# keeps what came of it. backups_stanza is what the repository calls this server.

# backups_box: the properties of the unit that pgBackRest runs in. It reads PostgreSQL's data, and writes to a repository that is a folder, to what is
# restored, and to the folder of its locks.
backups_box() {
    repository=
    if ! grep -q '^repo1-type=' "$backups_settings"; then repository=$(sed -n 's/^repo1-path=/-/p' "$backups_settings"); fi
    printf '%s\n' User=postgres Group=postgres WorkingDirectory=/ CapabilityBoundingSet= NoNewPrivileges=yes ProtectSystem=strict ProtectHome=read-only \
        PrivateTmp=yes PrivateDevices=yes ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes ProtectControlGroups=yes \
        ProtectClock=yes ProtectHostname=yes ProtectProc=invisible RestrictNamespaces=yes LockPersonality=yes RestrictRealtime=yes RestrictSUIDSGID=yes \
        MemoryDenyWriteExecute=yes 'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6' SystemCallArchitectures=native SystemCallFilter=@system-service \
        UMask=0027 Nice=10 IOSchedulingClass=idle "ReadWritePaths=-/run/postgresql -$backups_scratch $repository"
}

# backups_run STANZA WORD...
backups_run() {
    stanza=$1
    shift
    sandbox_run "$(backups_box)" --slice=provision-backups-postgresql.slice pgbackrest --config-path="$backups_configuration" --stanza="$stanza" "$@" </dev/null
}

# backups_reason <OUTPUT: the line that says why pgBackRest failed.
backups_reason() {
    said=$(tail -n 100 | tr -d '\000-\010\013-\037\177')
    why=$(printf '%s\n' "$said" | sed -n 's/^\(.* \)\{0,1\}ERROR: *//p' | tail -n 1)
    printf '%s\n' "${why:-$(printf '%s\n' "$said" | grep -v '^[[:space:]]*$' | tail -n 1)}" | cut -c1-300
}

# In: NUMBER. Out, in one record: mode, command and library (where PostgreSQL answers), settled (what the repository was last made ready
# for), cluster (PostgreSQL's identity), tool (pgBackRest's version, if it is installed).
backups_probe() {
    while read -r number; do
        settings='' tool=$(dpkg-query -W -f '${Version}' pgbackrest 2>/dev/null || true)
        if command -v psql >/dev/null; then
            settings=$(postgresql_ask postgres "select 'mode=' || current_setting('archive_mode') || chr(9) || 'command=' || translate(current_setting('archive_command'), chr(9) || chr(10), '  ')
                || chr(9) || 'library=' || coalesce(current_setting('archive_library', true), '') || chr(9) || 'timeout=' || current_setting('archive_timeout')
                || chr(9) || 'cluster=' || (select system_identifier from pg_control_system())" 2>/dev/null) || settings=
        fi
        printf '%s\ttool=%s\tsettled=%s\t%s\n' "$number" "$tool" "$(cat "$backups_state/settled" 2>/dev/null || true)" "$settings"
    done
}

# backups_enable FOLDER DIGEST: the repository is ready for this PostgreSQL, and it archives what it writes. FOLDER is empty for one elsewhere.
backups_enable() {
    postgresql_wait
    if [ -n "$1" ]; then backups_folder "$1"; fi
    data=$(postgresql_ask postgres 'show data_directory')
    cluster=$(postgresql_ask postgres 'select system_identifier from pg_control_system()')
    printf '[%s]\npg1-path=%s\n' "$backups_stanza" "$data" | put "$backups_cluster" root postgres 640
    backups_settle
    postgresql_ask postgres "alter system set archive_command = 'pgbackrest --config-path=${backups_configuration#"$root"} --stanza=$backups_stanza archive-push %p'"
    postgresql_ask postgres "alter system set archive_timeout = 60"
    postgresql_ask postgres "alter system set archive_mode = on"
    postgresql_ask postgres "select pg_reload_conf()" >/dev/null
    if [ "$(postgresql_ask postgres 'show archive_mode')" = off ]; then backups_restart; fi
    # Where a server burnt down, nothing comes before its data is back.
    if [ -z "$(backups_foreign)" ] && ! said=$(backups_run "$backups_stanza" --archive-timeout=30 check 2>&1); then
        fail "backups.repository: what PostgreSQL archives does not arrive: $(printf '%s\n' "$said" | backups_reason); /var/log/postgresql on the server says more"
    fi
    printf '%s %s\n' "$2" "$cluster" | put "$backups_state/settled" root root 600
    if [ -z "$(backups_foreign)" ]; then systemctl start --no-block "provision-backup@diff.service"; fi
}

# backups_restart: archive_mode is read at PostgreSQL's start alone. Debian's clusters have a unit each, by the name that they show.
backups_restart() {
    name=$(postgresql_ask postgres 'show cluster_name')
    unit=postgresql.service
    if printf '%s\n' "$name" | grep -qxE '[0-9]{2}/[A-Za-z0-9_]+'; then unit="postgresql@$(printf '%s' "$name" | tr / -).service"; fi
    systemctl restart "$unit"
    postgresql_wait
}

# backups_folder FOLDER: it is made where root alone may make it; one that is there must be PostgreSQL's to write.
backups_folder() {
    if [ ! -e "$1" ]; then
        above=$(readlink -f "${1%/*}/.") || fail "$1: make the folder ${1%/*} for it, or mount it there"
        while [ -n "$above" ]; do
            if [ "$(stat -c %U "$above")" != root ] || [ -n "$(find "$above" -maxdepth 0 -perm /022)" ]; then fail "$1: $above is not root's alone: make the folder $1 yourself, and give it to postgres"; fi
            above=${above%/*}
        done
        mkdir -m 750 "$1"
        chown -h postgres:postgres "$1"
    fi
    postgresql_as test -w "$1" || fail "$1: postgres may not write there: chown postgres: $1"
}

# backups_settle: the repository has a place for this PostgreSQL. One that was made anew, on a new server, goes on beside the backups of the one
# before it, which is written down: until somebody has decided, no timer makes backups that would push those out.
backups_settle() {
    if said=$(backups_run "$backups_stanza" stanza-create 2>&1); then return 0; fi
    case $said in
        *'[028]'*)
            said=$(backups_run "$backups_stanza" stanza-upgrade 2>&1) || fail "backups.repository: $(printf '%s\n' "$said" | backups_reason)"
            : | put "$backups_state/foreign" root root 600
            notice "the repository has backups of an earlier PostgreSQL of $backups_stanza: invoke restore brings them back; invoke backup begins anew"
            ;;
        *) fail "backups.repository: $(printf '%s\n' "$said" | backups_reason)" ;;
    esac
}

backups_foreign() { if [ -e "$backups_state/foreign" ]; then echo yes; fi; }

# backups_note NAME LINE: what came of it, and when. An app says some of it (recovery.sh), and a tab would begin a field of the record.
backups_note() { printf '%s %s\n' "$(date +%s)" "$(printf '%s' "$2" | tr '\000-\037\177' ' ')" | put "$backups_state/$1" root root 600; }

# backups_make full|diff: for the timers.
backups_make() {
    if [ -n "$(backups_foreign)" ]; then
        backups_note backup "the repository has backups of an earlier PostgreSQL: invoke restore brings them back; invoke backup begins anew"
        exit 1
    fi
    exec 8>"$backups_state/lock"
    flock 8
    if said=$(backups_run "$backups_stanza" --type="$1" --log-level-console=info backup 2>&1); then
        backups_note backup ok
        printf '%s\n' "$said" | sed -n 's/^.*INFO: \(.*backup size\|new backup label\)/\1/p'
    else
        why=$(printf '%s\n' "$said" | backups_reason)
        backups_note backup "$why"
        printf '%s\n' "$why" >&2
        exit 1
    fi
    backups_list
}

# backups_list: what the repository has, kept for whoever asks when it cannot be reached.
backups_list() {
    backups_run "$backups_stanza" --output=json info 2>/dev/null | head -c 4000000 | tr -d '\n' | put "$backups_state/info" root root 600
}

# backups_check: for the timer: what PostgreSQL writes now arrives in the repository.
backups_check() {
    if said=$(backups_run "$backups_stanza" --archive-timeout=30 check 2>&1); then
        before=$(cut -d' ' -f2- "$backups_state/check" 2>/dev/null || true)
        backups_note check ok
        backups_list
        # While the repository was away, PostgreSQL may have thrown away what it could not keep: a new backup closes the gap.
        if [ -n "$before" ] && [ "$before" != ok ]; then systemctl start --no-block provision-backup@diff.service; fi
    else
        why=$(printf '%s\n' "$said" | backups_reason)
        backups_note check "$why"
        printf '%s\n' "$why" >&2
        exit 1
    fi
}

# backups_now full|differential|drill: at somebody's word. systemd does it, whatever becomes of the connection. Out: a record with exit (ok, or why not);
# before that a line every ten seconds, as a connection that says nothing for long is given up.
backups_now() {
    unit=provision-backup@full.service what=backup
    if [ "$1" = differential ]; then unit=provision-backup@diff.service; fi
    if [ "$1" = drill ]; then unit=provision-backup-drill.service what=drill; else rm -f "$backups_state/foreign"; fi
    systemctl start --no-block "$unit" 2>/dev/null || true
    tries=0
    while systemctl show -p ActiveState -p Job "$unit" | grep -qE '^(ActiveState=(activating|reloading|deactivating)|Job=[1-9])'; do
        tries=$((tries + 1))
        if [ $((tries % 20)) = 0 ]; then echo; fi
        sleep 0.5
    done
    said=ok
    if [ "$(systemctl show -p Result --value "$unit")" != success ]; then said=$(cut -d' ' -f2- "$backups_state/$what" 2>/dev/null || true); fi
    if [ ! -e "$root/etc/systemd/system/provision-backup-drill.service" ]; then said='the server makes no backups yet: invoke provision'; fi
    printf 'exit=%s\n' "${said:-it did not begin: journalctl -u $unit on the server says why}"
}

# backups_status: a record for each of backup, check and drill: what, at (seconds since 1970), said. Then archiver (when it last failed, and not since
# succeeded), what (info) and listed, in Base64, and now.
backups_status() {
    for each in backup check drill; do
        if [ -r "$backups_state/$each" ]; then
            read -r at said <"$backups_state/$each"
            printf 'what=%s\tat=%s\tsaid=%s\n' "$each" "$at" "$said"
        fi
    done
    failing=$(postgresql_ask postgres "select extract(epoch from last_failed_time)::bigint from pg_stat_archiver
        where last_failed_time > coalesce(last_archived_time, '-infinity')" 2>/dev/null) || failing=
    printf 'what=archiver\tat=%s\tsaid=failing\n' "$failing"
    printf 'what=info\tat=%s\tsaid=%s\n' "$(date +%s)" "$(base64 -w 0 <"$backups_state/info" 2>/dev/null)"
}

# backups_remove: nothing of it is on the server, and PostgreSQL archives nothing; the repository stays.
backups_remove() {
    for each in full differential check drill; do systemctl disable --quiet --now "provision-backup-$each.timer" 2>/dev/null || true; done
    systemctl stop 'provision-backup@*.service' provision-backup-check.service provision-backup-drill.service provision-backups-postgresql.slice 2>/dev/null || true
    # What a restore that was killed left running.
    systemctl stop 'provision-scratch-*.service' 2>/dev/null || true
    if command -v psql >/dev/null && [ "$(postgresql_ask postgres 'select 1' 2>/dev/null)" = 1 ]; then
        case $(postgresql_ask postgres 'show archive_command') in
            "pgbackrest --config-path=${backups_configuration#"$root"} "*)
                for each in archive_command archive_timeout archive_mode; do postgresql_ask postgres "alter system reset $each"; done
                backups_restart
                ;;
        esac
    fi
    rm -rf "$backups_configuration" "$backups_program" "$backups_state" "$backups_scratch" "$root/etc/systemd/system/provision-backup"[@-]*
    postgresql_as rm -rf /run/postgresql/pgbackrest 2>/dev/null || true
    systemctl daemon-reload
}

# In: NUMBER. Out: there=yes where the server has something of it.
backups_probe_gone() {
    while read -r number; do if [ -e "$backups_program" ] || [ -e "$backups_configuration" ]; then printf '%s\tthere=yes\n' "$number"; fi; done
}
