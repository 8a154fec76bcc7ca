# shellcheck shell=sh disable=SC2154
# Settings of PostgreSQL are set by PostgreSQL itself, and its files are touched as its user alone: they are in folders of that user's.
# In postgresql_note, a line NAME for each that the toolkit set.
postgresql_note=$provision_postgresql

# In: NUMBER NOTE. Out: installed=yes where there is a PostgreSQL, ours=yes where it came with the toolkit, and noted, in a record for each
# setting that the toolkit set. If PostgreSQL answers: answers=yes; data=yes where there are databases beside its own; pending, in a record
# for each setting that waits for a restart; name and set for each that ALTER SYSTEM set; and hand for each that somebody set in a file.
postgresql_probe_settings() {
    read -r number _
    command -v pg_ctlcluster >/dev/null || return 0
    {
        echo installed=yes
        if postgresql_is_ours; then echo ours=yes; fi
        if [ -e "$postgresql_note" ]; then sed 's/^/noted=/' "$postgresql_note"; fi
        postgresql_ask postgres "
            select 'answers=yes'
            union all select 'data=yes' where exists (select 1 from pg_database where datname not in ('postgres', 'template0', 'template1'))
            union all select 'pending=' || name from pg_settings where pending_restart
            union all select 'name=' || name || E'\tset=' || translate(setting, E'\t\n\r', '   ') from pg_file_settings
                where sourcefile like '%/postgresql.auto.conf'
            union all select 'hand=' || name from pg_file_settings where sourcefile not like '%/postgresql.auto.conf' and (name, setting) not in
                (('shared_buffers', '128MB'), ('max_wal_size', '1GB'), ('min_wal_size', '80MB'), ('max_connections', '100'))" 2>/dev/null
    } | sed "s/^/$number	/"
}

# postgresql_is_ours: whether it came with the toolkit, and nothing of an earlier one was there.
postgresql_is_ours() { grep -qE '^postgresql-common(:[a-z0-9]+)? (asked|needed) new$' "$provision_found/packages" 2>/dev/null; }

# postgresql_statement NAME=VALUE|-NAME: the SQL for it. What is a list is given as one.
postgresql_statement() {
    case $1 in
    -*) printf 'alter system reset %s' "${1#-}" ;;
    *_libraries=*) printf 'alter system set %s = %s' "${1%%=*}" "$(printf '%s' "${1#*=}" | sed "s/'/''/g; s/[[:space:]]*,[[:space:]]*/', '/g; s/^/'/; s/\$/'/")" ;;
    *) printf "alter system set %s = '%s'" "${1%%=*}" "$(printf '%s' "${1#*=}" | sed "s/'/''/g")" ;;
    esac
}

# postgresql_set NAME=VALUE|-NAME...: all of them or none.
postgresql_set() {
    postgresql_wait
    {
        if [ -e "$postgresql_note" ]; then cat "$postgresql_note"; fi
        for each; do case $each in -*) ;; *) printf '%s\n' "${each%%=*}" ;; esac done
    } | sort -u | put "$postgresql_note" root root 600
    data=$(postgresql_ask postgres 'show data_directory')
    postgresql_as cp "$data/postgresql.auto.conf" "$data/postgresql.auto.conf.provision"
    for each; do
        if ! postgresql_ask postgres "$(postgresql_statement "$each")"; then
            postgresql_back
            fail "PostgreSQL refuses ${each%%=*}, and its settings stay as they are: its reason stands above; change postgresql.parameters"
        fi
    done
    postgresql_ask postgres 'select pg_reload_conf()' >/dev/null
    if [ -z "$(postgresql_ask postgres "select 1 from pg_database where datname not in ('postgres', 'template0', 'template1') limit 1")" ]; then postgresql_restart; fi
    postgresql_as rm -f "$data/postgresql.auto.conf.provision"
    for each; do case $each in shared_preload_libraries=*pg_stat_statements*) postgresql_ask postgres 'create extension if not exists pg_stat_statements schema public' ;; esac done
    for each; do case $each in -*) sed "/^${each#-}\$/d" "$postgresql_note" | put "$postgresql_note" root root 600 ;; esac done
}

# postgresql_back: the settings are what they were. Reads data.
postgresql_back() { postgresql_as mv -f "$data/postgresql.auto.conf.provision" "$data/postgresql.auto.conf"; }

# postgresql_restart: with the new settings or, where it does not start with them, with the old ones. Reads data.
postgresql_restart() {
    cluster=$(postgresql_ask postgres 'show cluster_name')
    case $cluster in *[!a-z0-9/_-]* | */*/* | /* | */) fail "PostgreSQL says that its cluster is $cluster, which cannot be" ;; esac
    unit=postgresql@${cluster%/*}-${cluster#*/}.service
    if systemctl restart "$unit" && (postgresql_wait); then return 0; fi
    postgresql_back
    systemctl reset-failed "$unit" || true
    systemctl restart "$unit"
    fail "PostgreSQL does not start with the new settings, and has the old ones again; journalctl -u $unit on the server says why"
}
