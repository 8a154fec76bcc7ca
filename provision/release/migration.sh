# shellcheck shell=sh disable=SC2154
# The migration of an app's database.

# migration_run APP RELEASE FOLDER FINGERPRINT COMMAND: an empty command is Alembic's, where the release has an alembic.ini.
migration_run() {
    command=$5
    layout_release "$1" "$2"
    if [ -z "$command" ] && [ -e "$release_folder/$3/alembic.ini" ]; then command='alembic upgrade head'; fi
    if [ -n "$command" ]; then
        command_run "$1" "$2" "$3" sh -c "$command" || fail "$1: the migration failed: $command"
    fi
    mark_write "$1" migrated "$4"
}
