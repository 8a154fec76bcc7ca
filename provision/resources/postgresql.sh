# shellcheck shell=sh disable=SC2154
# Names of databases are those of apps, and need no escaping within quotes.

# postgresql_as WORD...: as PostgreSQL's user, in a folder that this user may enter. Without PAM, whose limits a unit in a sandbox cannot set.
postgresql_as() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups "$@"); }

# postgresql_ask DATABASE SQL: what PostgreSQL answers its own superuser. Roles can put functions and views of their own before PostgreSQL's, with a
# search path that they set for their database: the superuser looks at none of them.
postgresql_ask() { postgresql_as env PGCONNECT_TIMEOUT=5 PGOPTIONS='-c search_path=pg_catalog' psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }

# In: NUMBER NAME. Out, if PostgreSQL answers: role (ours or theirs) and owner (of the database), if there are such, open (yes: other roles may
# connect), closed (yes: a restore that was killed lets nobody in), and extension, in a record for each.
postgresql_probe() {
    while IFS='	' read -r number name; do
        command -v psql >/dev/null || continue
        postgresql_ask postgres "
            select 'role=' || case when shobj_description(oid, 'pg_authid') = 'Made by provision.' then 'ours' else 'theirs' end
                from pg_roles where rolname = '$name'
            union all select 'owner=' || pg_get_userbyid(datdba) from pg_database where datname = '$name'
            union all select 'closed=yes' from pg_database where datname = '$name' and datconnlimit = 0
            union all select distinct 'open=yes' from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) as acl
                where datname = '$name' and acl.grantee = 0" 2>/dev/null | sed "s/^/$number	/"
        postgresql_ask "$name" "select 'extension=' || extname from pg_extension" 2>/dev/null | sed "s/^/$number	/"
    done
}

# In: NUMBER. Out, if PostgreSQL answers: free (how many connections all but its superuser may have).
postgresql_probe_connections() {
    while read -r number; do
        command -v psql >/dev/null || continue
        postgresql_ask postgres "select 'free=' || current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int" \
            2>/dev/null | sed "s/^/$number	/"
    done
}

# postgresql_ours NAME: whether the toolkit made the database, or is about to.
postgresql_ours() {
    command -v psql >/dev/null || return 1
    [ "$(postgresql_ask postgres "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = '$1'" 2>/dev/null)" = 'Made by provision.' ]
}

# postgresql_wait: until it answers, which takes some seconds after an installation or a boot.
postgresql_wait() {
    tries=0
    until said=$(postgresql_ask postgres 'select 1' 2>&1); do
        tries=$((tries + 1))
        if [ "$tries" -ge 60 ]; then
            printf '%s\n' "$said"
            fail "PostgreSQL does not answer: its reason stands above; pg_lsclusters on the server shows its log"
        fi
        sleep 0.5
    done
}

# postgresql_status: a record: what=postgresql, answers (yes or no), restarts (by systemd, since it was started), since (UTC, of the last change),
# and why, as far as the last day of its log says it. The log is its user's, and read as that user.
postgresql_status() {
    answers=no unit=$(systemctl list-units --all --plain --no-legend 'postgresql@*.service' 2>/dev/null | awk 'NR == 1 { print $1 }')
    if postgresql_ask postgres 'select 1' >/dev/null 2>&1; then answers=yes; fi
    since=$(systemctl show -p StateChangeTimestamp --value "${unit:-postgresql.service}")
    printf 'what=postgresql\tanswers=%s\trestarts=%s\tsince=%s\twhy=%s\n' "$answers" "$(systemctl show -p NRestarts --value "${unit:-postgresql.service}")" \
        "$(if [ -n "$since" ]; then date -u -d "$since" +%Y-%m-%dT%H:%M:%SZ; fi)" "$(postgresql_why)"
}

# postgresql_why: the last line of the last day that says why PostgreSQL ended.
postgresql_why() {
    postgresql_as sh -c 'tail -q -c 200000 /var/log/postgresql/*.log' 2>/dev/null |
        awk -v after="$(date -d '1 day ago' '+%Y-%m-%d %H:%M:%S')" 'substr($0, 1, 19) > after && /PANIC: |was terminated by signal|No space left on device/ { last = $0 } END { print last }' |
        sed 's/^.*\(PANIC\|FATAL\|ERROR\|LOG\): *//' | tr -d '\000-\037\177' | cut -c 1-200
}

# postgresql_make NAME EXTENSION...: whatever of it there is not yet.
postgresql_make() {
    name=$1
    shift
    postgresql_wait
    if [ -z "$(postgresql_ask postgres "select 1 from pg_roles where rolname = '$name'")" ]; then
        postgresql_ask postgres "begin; create role \"$name\" login; comment on role \"$name\" is 'Made by provision.'; commit"
    fi
    if [ -z "$(postgresql_ask postgres "select 1 from pg_database where datname = '$name'")" ]; then
        # A minimal server has no locale, and its PostgreSQL would know of no UTF-8.
        # Nobody but the superuser, who runs extensions' scripts, is in it before they have run.
        postgresql_ask postgres "create database \"$name\" owner \"$name\" template template0 connection limit 0 encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'"
    fi
    postgresql_ask postgres "revoke all on database \"$name\" from public"
    for extension; do
        postgresql_ask "$name" "create extension if not exists \"$extension\" schema public" ||
            fail "$name: PostgreSQL has no extension $extension: add its package to the host's packages, such as postgresql-15-pgvector"
    done
    if [ "$(postgresql_ask postgres "select datconnlimit from pg_database where datname = '$name'")" = 0 ]; then
        postgresql_ask postgres "alter database \"$name\" connection limit -1"
    fi
}

# postgresql_move FROM TO: the database and its role have another name, at once; the app that was connected has ended. What has that name
# already, of an app that has not served, gets another.
postgresql_move() {
    if postgresql_ours "$2"; then
        aside=$2-$(date -u +%Y%m%dT%H%M%S)
        postgresql_rename "$2" "$aside"
        notice "$2: there was a PostgreSQL database of this name before $2 had that of $1: it is now $aside"
    fi
    postgresql_rename "$1" "$2"
}

# postgresql_rename FROM TO. Whoever else is connected, such as a person, would keep a database from getting another name.
postgresql_rename() {
    postgresql_ask postgres "select pg_terminate_backend(pid) from pg_stat_activity where datname = '$1'" >/dev/null
    change="alter role \"$1\" rename to \"$2\""
    if [ -n "$(postgresql_ask postgres "select 1 from pg_database where datname = '$1'")" ]; then change="alter database \"$1\" rename to \"$2\"; $change"; fi
    postgresql_ask postgres "begin; $change; commit"
}

# postgresql_remove NAME: the database with all its data, whoever is connected, what restores have kept of it or made beside, its role, and those
# that log in as it from other hosts.
postgresql_remove() {
    for beside in $(postgresql_ask postgres "select datname from pg_database where datdba = (select oid from pg_roles where rolname = '$1')
        and datname ~ '^[a-z0-9_-]+$' and shobj_description(oid, 'pg_database') in ('Restored by provision.', 'Kept by provision.')"); do
        postgresql_ask postgres "drop database if exists \"$beside\" with (force)"
    done
    postgresql_ask postgres "drop database if exists \"$1\" with (force)"
    for login in $(postgresql_ask postgres "select rolname from pg_roles where shobj_description(oid, 'pg_authid') = 'Made by provision for $1.' and rolname ~ '^[A-Za-z0-9._-]+$'"); do
        postgresql_ask postgres "drop role \"$login\""
    done
    postgresql_ask postgres "drop role if exists \"$1\""
}
