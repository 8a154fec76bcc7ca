# shellcheck shell=sh disable=SC2154
# PostgreSQL for apps on other hosts. Its pg_hba.conf is its user's, in a folder of that user's: PostgreSQL reads it, and that user writes it.
postgresql_first='# Begin of what provision wrote: apps on other hosts.' postgresql_last='# End of what provision wrote.'

# postgresql_run DATABASE <SQL: by its superuser. What it is told is in no argument.
postgresql_run() { postgresql_as env PGCONNECT_TIMEOUT=5 PGOPTIONS='-c search_path=pg_catalog' psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -f -; }

# In: NUMBER ROLE APP. Out, if PostgreSQL answers and has the role: role (ours or theirs), verifier (SHA-256 of its password's), and whole=yes
# where it can log in and is the app's then.
postgresql_probe_login() {
    while IFS='	' read -r number role app; do
        command -v psql >/dev/null || continue
        postgresql_ask postgres "
            select 'role=' || case when shobj_description(oid, 'pg_authid') like 'Made by provision for %' then 'ours' else 'theirs' end
                || E'\tverifier=' || coalesce(encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex'), '')
                || case when rolcanlogin and not (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
                    and exists (select 1 from pg_auth_members where member = a.oid and roleid = (select oid from pg_roles where rolname = '$app'))
                    and exists (select 1 from pg_db_role_setting where setrole = a.oid and setdatabase = 0 and setconfig = array['role=$app'])
                    then E'\twhole=yes' else '' end
            from pg_authid a where rolname = '$role'" 2>/dev/null | sed "s/^/$number	/"
    done
}

# In: NUMBER. Out: login for each role that logs in from another host.
postgresql_probe_logins() {
    read -r number _
    command -v psql >/dev/null || return 0
    postgresql_logins 2>/dev/null | sed "s/^/$number	login=/"
}

postgresql_logins() { postgresql_ask postgres "select rolname from pg_roles where shobj_description(oid, 'pg_authid') like 'Made by provision for %' order by 1"; }

# In: NUMBER PATH. Out: found (owner, group and mode), if it is there.
postgresql_probe_key() { while IFS='	' read -r number path; do stat -c "$number	found=%U %G %a" "$root$path" 2>/dev/null; done; }

# postgresql_key PATH
postgresql_key() {
    chown root:postgres "$root$1"
    chmod 640 "$root$1"
}

# In: NUMBER STAMP. Out: installed=yes and ours=yes, as of its settings; stamp (what it has loaded); and, if it answers, lines (base64, of
# pg_hba.conf) and listens (yes or no).
postgresql_probe_clients() {
    IFS='	' read -r number stamp
    {
        printf 'stamp=%s\n' "$(cat "$root$stamp" 2>/dev/null)"
        if command -v pg_ctlcluster >/dev/null; then
            echo installed=yes
            if postgresql_is_ours; then echo ours=yes; fi
            postgresql_ask postgres "select 'listens=' || case when setting = '*' then 'yes' else 'no' end from pg_settings where name = 'listen_addresses'" 2>/dev/null
            printf 'lines=%s\n' "$(postgresql_hba 2>/dev/null | sed "1,/^$postgresql_first\$/d; /^$postgresql_last\$/,\$d" | base64 -w 0)"
        fi
    } | sed "s/^/$number	/"
}

# postgresql_hba: pg_hba.conf, as PostgreSQL reads it. A first line that is empty is so that there is one before ours.
postgresql_hba() { echo && postgresql_ask postgres "select pg_read_file(current_setting('hba_file'))"; }

# postgresql_login ROLE APP <VERIFIER
postgresql_login() {
    verifier=$(cat)
    postgresql_wait
    if [ -z "$(postgresql_ask postgres "select 1 from pg_roles where rolname = '$1'")" ]; then create="create role \"$1\";"; else create=; fi
    postgresql_run postgres <<END
begin;
$create
alter role "$1" login nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit password '$verifier';
grant "$2" to "$1";
alter role "$1" reset all;
alter role "$1" set role = "$2";
comment on role "$1" is 'Made by provision for $2.';
commit;
END
}

# postgresql_drop_logins ROLE...: whoever is connected is so no more, and what is the role's is its app's.
postgresql_drop_logins() {
    postgresql_wait
    for role; do
        case $role in *[!A-Za-z0-9._-]*) continue ;; esac
        postgresql_ask postgres "alter role \"$role\" nologin"
        postgresql_ask postgres "select pg_terminate_backend(pid) from pg_stat_activity where usename = '$role'" >/dev/null
        app=$(postgresql_ask postgres "select substr(shobj_description(oid, 'pg_authid'), 23) from pg_roles where rolname = '$role'")
        app=${app%.}
        case $app in *[!a-z0-9-]* | '') continue ;; esac
        for database in $(postgresql_ask postgres "select datname from pg_database where datname = '$app'"); do
            postgresql_ask "$database" "reassign owned by \"$role\" to \"$app\"; drop owned by \"$role\""
        done
        postgresql_ask postgres "drop role \"$role\""
    done
}

# postgresql_open STAMP DIGEST <LINES: PostgreSQL reads them, and its certificate, now, and listens on the network.
postgresql_open() {
    postgresql_wait
    { printf '%s\n' "$postgresql_first" && cat && printf '%s\n' "$postgresql_last"; } | postgresql_hba_write
    if [ "$(postgresql_ask postgres "select setting from pg_settings where name = 'listen_addresses'")" != '*' ]; then
        data=$(postgresql_ask postgres 'show data_directory')
        postgresql_as cp "$data/postgresql.auto.conf" "$data/postgresql.auto.conf.provision"
        # Of one that did not answer, no settings were planned.
        postgresql_ask postgres "alter system set listen_addresses = '*'"
        postgresql_restart
        postgresql_as rm -f "$data/postgresql.auto.conf.provision"
    fi
    mkdir -p "$provision_stamps"
    printf '%s\n' "$2" | put "$root$1" root root 644
}

# postgresql_close STAMP FOLDER SETTING...: what PostgreSQL reads as it starts stays where it cannot be told to read it no more.
postgresql_close() {
    stamp=$1 folder=$2
    shift 2
    if command -v pg_ctlcluster >/dev/null; then
        if ! postgresql_ask postgres 'select 1' >/dev/null 2>&1; then
            notice "PostgreSQL does not answer, so it is not closed to apps on other hosts yet, and $folder stays: run again when it does"
            return 0
        fi
        postgresql_hba_write </dev/null
        for each; do
            if grep -qx "$each" "$postgresql_note" 2>/dev/null; then
                postgresql_ask postgres "alter system reset $each"
                sed "/^$each\$/d" "$postgresql_note" | put "$postgresql_note" root root 600
            fi
        done
        postgresql_ask postgres 'select pg_reload_conf()' >/dev/null
    fi
    rm -rf -- "$root$folder"
    rm -f "$root$stamp"
}

# Without the lines between the two comments that are as ours; what others wrote there stays, also where one of the comments is gone.
# shellcheck disable=SC2016
postgresql_others='$0 == first { inside = 1; next } $0 == last { inside = 0; next } inside && /^hostssl "/ { next } { print }'

# postgresql_hba_write <LINES: they come first, before what others wrote; PostgreSQL looks at them before it reads them.
postgresql_hba_write() {
    hba=$(postgresql_ask postgres 'show hba_file')
    # shellcheck disable=SC2016 # the user's shell expands it
    postgresql_as sh -c '
        set -eu
        umask 077
        { cat && awk -v first="$2" -v last="$3" "$4" "$1"; } >"$1.provision-new"
        chmod 640 "$1.provision-new"
        cp -p "$1" "$1.provision-before"
        mv -f "$1.provision-new" "$1"' sh "$hba" "$postgresql_first" "$postgresql_last" "$postgresql_others"
    wrong=$(postgresql_ask postgres "select error from pg_hba_file_rules where error is not null limit 1")
    if [ -n "$wrong" ]; then
        postgresql_as mv -f "$hba.provision-before" "$hba"
        fail "PostgreSQL refuses pg_hba.conf, which stays as it was: $wrong"
    fi
    postgresql_as rm -f "$hba.provision-before"
    postgresql_ask postgres 'select pg_reload_conf()' >/dev/null
}
