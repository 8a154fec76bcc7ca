# shellcheck shell=sh

# In: NUMBER PATH COMMIT FOLDER. Out: NUMBER unmodified|modified, where the release is there.
# A file or folder that is younger than the stamp, or has younger rights, was touched since the release was exported.
probe_releases() {
    while IFS='	' read -r number path commit folder; do
        if [ -r "$path/.release" ] && [ "$(cat "$path/.release")" = "$commit	$folder" ]; then
            if [ -z "$(find "$path" -mindepth 1 ! -name .release \( -newer "$path/.release" -o -cnewer "$path/.release" \) -print -quit)" ] && [ -d "$path/$folder" ]; then
                printf '%s\tunmodified\n' "$number"
            else
                printf '%s\tmodified\n' "$number"
            fi
        fi
    done
}

# In: NUMBER FILE. Out: NUMBER LINE, the mark's first line.
probe_marks() {
    while IFS='	' read -r number file; do
        if [ -r "$file" ] && read -r line <"$file"; then printf '%s\t%s\n' "$number" "$line"; fi
    done
}

# mark APP NAME LINE
mark() {
    (umask 022 && mkdir -p "/var/lib/provision/apps/$1")
    printf '%s\n' "$3" | put "/var/lib/provision/apps/$1/$2" root root 644
}

# export_release APP RELEASE COMMIT FOLDER
export_release() {
    umask 022
    releases=/srv/$1/releases
    beside=$releases/.new-$2
    rm -rf "$beside"
    mkdir -p "$beside"
    trap 'rm -rf "$beside" "$beside.tar"' EXIT
    { git --git-dir="/srv/$1/repository.git" archive "$3" >"$beside.tar" && tar -C "$beside" --no-same-owner -xf "$beside.tar"; } ||
        fail "$1: the release cannot be written to $releases, which has $(df -h --output=avail "$releases" | sed 1d | tr -d ' ') free"
    rm -f "$beside.tar"
    if [ ! -d "$beside/$4" ]; then fail "$1: the commit has no folder $4 (source.folder)"; fi
    if [ -L "$releases/$2/.venv" ]; then cp -P "$releases/$2/.venv" "$beside/.venv"; fi
    printf '%s\t%s\n' "$3" "$4" >"$beside/.release"
    sync -f "$beside"
    if [ -e "$releases/$2" ]; then mv -T "$releases/$2" "$releases/.old-$2"; fi
    mv -T "$beside" "$releases/$2"
    rm -rf "$releases/.old-$2"
}

# commands_of APP: the units of what as_app runs.
commands_of() { systemctl list-units --no-legend --plain --state=active,activating,deactivating "provision.$1.*" | cut -d' ' -f1; }

# as_app APP RELEASE FOLDER COMMAND...: in the release, with the app's user, environment and sandbox. There is one such command
# of an app at a time: a run that is killed leaves its own going, a migration for example.
as_app() {
    app=$1 tree=/srv/$1/releases/$2
    directory=$tree/$3
    shift 3
    if [ -n "$(commands_of "$app")" ]; then
        echo "a command of an earlier run still goes on, and is waited for: $(commands_of "$app")" >&2
        while [ -n "$(commands_of "$app")" ]; do sleep 0.2; done
    fi
    systemd-run --quiet --wait --pipe --collect --unit="provision.$app.$(cat /proc/sys/kernel/random/uuid)" --service-type=exec \
        -p User="$app" -p Group="$app" -p EnvironmentFile="/etc/$app/env" -p WorkingDirectory="$directory" \
        -p ProtectSystem=strict -p ReadWritePaths="/srv/$app/shared" -p PrivateTmp=yes -p NoNewPrivileges=yes -p UMask=0027 \
        --setenv=PATH="$tree/.venv/bin:/usr/local/bin:/usr/bin:/bin" --setenv=PYTHONDONTWRITEBYTECODE=1 "$@" </dev/null
}

# check_release APP RELEASE FOLDER MODULE FINGERPRINT
check_release() {
    said=$(mktemp /run/provision/check.XXXXXX)
    trap 'rm -f "$said"' EXIT
    if ! as_app "$1" "$2" "$3" "/srv/$1/releases/$2/.venv/bin/python" -c '
import functools, importlib, sys, traceback
module, _, attribute = sys.argv[1].partition(":")
try:
    functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
except BaseException as error:
    traceback.print_exc()
    sys.exit("because " + " ".join(f"{type(error).__name__}: {error}".split())[:300])' "$4" >"$said" 2>&1; then
        cat "$said"
        discard "$1" "$2"
        fail "$1: $4 cannot be imported: $(sed -n '$s/^because //p' "$said")"
    fi
    mark "$1" checked "$5"
}

# discard APP RELEASE: one that has never served, and its environment where no other release and no slot has it.
discard() {
    if grep -qsF "{\"app\":\"$1\",\"release\":\"$2\"" /var/lib/provision/history.jsonl; then return 0; fi
    venv=$(readlink -f "/srv/$1/releases/$2/.venv" || true)
    rm -rf "/srv/$1/releases/$2"
    case $venv in
    "/srv/$1/venvs/"*) if ! readlink -f "/srv/$1"/releases/*/.venv "/etc/$1"/*/venv | grep -qxF "$venv"; then rm -rf "$venv"; fi ;;
    esac
}

# migrate_release APP RELEASE FOLDER FINGERPRINT COMMAND
migrate_release() {
    command=$5
    if [ -z "$command" ] && [ -e "/srv/$1/releases/$2/$3/alembic.ini" ]; then command='alembic upgrade head'; fi
    if [ -n "$command" ]; then
        as_app "$1" "$2" "$3" sh -c "$command" || fail "$1: the migration failed: $command"
    fi
    mark "$1" migrated "$4"
}
