# shellcheck shell=sh disable=SC2154
# The migration of an app's database.

# migration_run APP RELEASE FOLDER FINGERPRINT COMMAND: an empty command is Alembic's, where the release has an alembic.ini.
migration_run() {
    command=$5
    layout_release "$1" "$2"
    if [ -z "$command" ] && [ -e "$release_folder/$3/alembic.ini" ]; then command='alembic upgrade head'; fi
    if [ -n "$command" ]; then
        said=$(mktemp "$provision_runtime/migration.XXXXXX")
        trap 'rm -f "$said" "$said.failed"' EXIT
        links_lead "$1" "$2"
        command_wait "$1"
        before=$(migration_revision "$1" "$2" "$3")
        migration_point "$1" "$2"
        { command_run "$1" "$2" "$3" sh -c "$command" 2>&1 || : >"$said.failed"; } | command_keep "$said"
        migration_note "$1" "$2" "$3" "$before"
        if [ -e "$said.failed" ]; then fail "$1: the migration failed: $command: $(migration_reason <"$said")$(command_hint "$1" "$said")"; fi
    fi
    mark_write "$1" migrated "$4"
}

# migration_point APP RELEASE: where the database is archived, what there is now can be found again.
migration_point() {
    if postgresql_ours "$1" && [ "$(postgresql_ask postgres 'show archive_mode')" = on ]; then
        postgresql_ask postgres "select pg_create_restore_point('$1/$2')" >/dev/null
    fi
}

# migration_revision APP RELEASE FOLDER: where Alembic says that the database is; "nothing" for an empty one, and empty where
# Alembic does not say, or is not used.
migration_revision() {
    layout_release "$1" "$2"
    if [ ! -e "$release_folder/$3/alembic.ini" ]; then return 0; fi
    command_told migration_current "$1" "$2" "$3" || return 0
    at=$(printf '%s\n' "$told" | sed -n 's/^\([A-Za-z0-9_-]*\)\( (.*)\)*$/\1/p' | paste -s -d , -)
    printf '%s\n' "${at:-nothing}"
}

migration_current() { command_run "$@" sh -c 'alembic current' 2>/dev/null; }

# In: NUMBER APP RELEASE FOLDER yes|no (whether the hook before its start names Alembic) SCRIPTS (the names of those that only migrate). Out:
# uses=yes where the release asks Alembic as it starts.
migration_uses_probe() {
    while IFS='	' read -r number app release folder hook scripts; do
        layout_release "$app" "$release"
        if [ -e "$release_folder/$folder/alembic.ini" ] && { [ "$hook" = yes ] || migration_is_imported "$release_folder/$folder" "$scripts"; }; then printf '%s\tuses=yes\n' "$number"; fi
    done
}

# migration_is_imported FOLDER SCRIPTS: whether code there, apart from the migrations themselves, imports what runs Alembic, or a script runs it
# that is none of these.
migration_is_imported() {
    tree=$1 names=$2
    set -- -rlw --include='*.sh' --exclude-dir='.?*'
    for each in $names; do set -- "$@" --exclude="$each"; done
    if grep "$@" alembic "$tree" | grep -q .; then return 0; fi
    grep -rlE --include='*.py' --exclude=env.py --exclude-dir=versions --exclude-dir='.?*' --exclude-dir=tests \
        '^[[:space:]]*(from alembic import .*(command|config|script)|(from|import) alembic\.(command|config|script|runtime))' "$tree" | grep -q .
}

# migration_check APP RELEASE FOLDER: that this release's Alembic knows the revision of the database.
migration_check() {
    layout_release "$1" "$2"
    command_told command_run "$1" "$2" "$3" sh -c 'alembic current' || case $told in
    *"Can't locate revision"*)
        at=$(printf '%s\n' "$told" | sed -n "s/.*Can't locate revision identified by '\([A-Za-z0-9_-]*\)'.*/ \1/p" | tail -n 1)
        fail "$1: the database is at revision$at, which $2 does not know, and it asks Alembic as it starts: go back with alembic downgrade (invoke run) first, or add --force"
        ;;
    esac
}

# migration_note APP RELEASE FOLDER BEFORE: say and write down what has become of the database. Reads command and said.
migration_note() {
    layout_app "$1"
    after=$(migration_revision "$1" "$2" "$3")
    if [ -n "$after" ]; then
        if [ "$4" = "$after" ]; then return 0; fi
        what="from ${4:-an unknown revision} to $after"
    else
        if [ -e "$said.failed" ]; then return 0; fi
        what="by $command"
    fi
    notice "$1: migrated $what"
    (umask 022 && mkdir -p "$app_state")
    {
        tail -n 99 "$app_migrations" 2>/dev/null || :
        printf '%s\t%s\n' "$2" "$what"
    } | put "$app_migrations" root root 644
}

# migration_reason <OUTPUT: the line that says why: the last exception's, else the last one.
migration_reason() {
    lines=$(grep -v '^[[:space:]]*$' | tail -n 200)
    because=$(printf '%s\n' "$lines" | grep -E '^([A-Za-z_]\w*\.)*[A-Za-z_]\w*(Error|Exception|Exit|Interrupt|Failure)(: |$)|^([A-Za-z_]\w*\.)+\w+: |^FAILED: ' | tail -n 1)
    if [ -z "$because" ]; then because=$(printf '%s\n' "$lines" | tail -n 1); fi
    printf '%s\n' "${because:-it printed nothing}" | cut -c1-300
}
