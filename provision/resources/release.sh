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

# as_app APP RELEASE FOLDER COMMAND...: in the release, with the app's user, environment and sandbox.
as_app() {
    app=$1 tree=/srv/$1/releases/$2
    directory=$tree/$3
    shift 3
    systemd-run --quiet --wait --pipe --collect --service-type=exec \
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

# discard APP RELEASE: one that has never served, and its environment where no other release has it.
discard() {
    if grep -qsF "{\"app\":\"$1\",\"release\":\"$2\"" /var/lib/provision/history.jsonl; then return 0; fi
    venv=$(readlink -f "/srv/$1/releases/$2/.venv" || true)
    rm -rf "/srv/$1/releases/$2"
    case $venv in
    "/srv/$1/venvs/"*) if ! readlink -f "/srv/$1"/releases/*/.venv | grep -qxF "$venv"; then rm -rf "$venv"; fi ;;
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

# In: NUMBER APP HEALTH_PATH SHA256_OF_ENV SHA256_OF_GUNICORN_CONF DOMAIN. Out: NUMBER SLOT FINGERPRINT ACTIVE ENABLED
# NEEDS_DAEMON_RELOAD same|differs IDLE_SLOT_ACTIVE CURRENT_RELEASE HEALTH_STATUS, where a slot has the traffic.
probe_activations() {
    while IFS='	' read -r number app health environment configuration domain; do
        slot=$(slot_of "$app")
        if [ -z "$slot" ]; then continue; fi
        shown=$(systemctl show -p ActiveState -p UnitFileState -p NeedDaemonReload "$app@$slot" | sort | cut -d= -f2 | tr '\n' '\t')
        IFS='	' read -r active reload enabled <<END_OF_UNIT
$shown
END_OF_UNIT
        snapshot=differs
        if printf '%s  %s\n' "$environment" "/etc/$app/$slot/env" "$configuration" "/etc/$app/$slot/gunicorn.conf.py" |
            sha256sum --status --check 2>/dev/null; then snapshot=same; fi
        current=$(readlink "/srv/$app/current" || true)
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$number" "$slot" \
            "$(cat "/etc/$app/$slot/fingerprint" 2>/dev/null)" "$active" "${enabled:-none}" "$reload" "$snapshot" \
            "$(systemctl is-active "$app@$(other "$slot")")" "${current##*/}" \
            "$(ask "/run/$app/$slot.sock" "$domain" "$health")"
    done
}

# ask SOCKET DOMAIN PATH: the answer's status. It is asked as nginx asks, for an app may take no other name and no plain HTTP.
ask() {
    curl -s -o /dev/null -m 5 -w '%{http_code}' --unix-socket "$1" -H 'X-Real-IP: 127.0.0.1' -H 'X-Forwarded-For: 127.0.0.1' \
        -H 'X-Forwarded-Proto: https' -H "X-Forwarded-Host: ${2:-localhost}" "http://${2:-localhost}$3" || true
}

slot_of() {
    slot=$(readlink "/run/$1/current.sock" || true)
    printf '%s\n' "${slot%.sock}"
}

# live_of APP: the slot that has the traffic; where the link is gone, one that runs.
live_of() {
    slot=$(slot_of "$1")
    if [ -z "$slot" ]; then
        for one in green blue; do if systemctl is-active --quiet "$1@$one"; then slot=$one; fi; done
    fi
    printf '%s\n' "$slot"
}

other() { if [ "$1" = blue ]; then echo green; else echo blue; fi; }

# activate APP RELEASE FINGERPRINT HEALTH_PATH TIMEOUT DOMAIN KEEP FOLDER BEFORE AFTER PROCESS...
# Starting the idle slot, its health check, the switch by one rename, a check through nginx, the old slot's end.
# What fails before the switch leaves the old slot serving; what fails after it switches back.
activate() {
    app=$1 release=$2 fingerprint=$3 health=$4 timeout=$5 domain=$6 keep=$7 folder=$8 before=$9
    shift 9
    after=$1
    shift
    processes=$*
    if [ -n "$before" ]; then
        (as_app "$app" "$release" "$folder" sh -c "$before") || fail "$app: the hook before the activation failed, and nothing was switched: $before"
    fi
    old=$(live_of "$app")
    new=$(other "${old:-green}")
    systemctl stop "$app@$new" 2>/dev/null || true
    prepare_slot "$fingerprint"
    take_over
    prune "$keep"
    if [ -n "$after" ]; then
        (as_app "$app" "$release" "$folder" sh -c "$after") || fail "$app: $release has the traffic, but the hook after the activation failed: $after"
    fi
}

# revert APP HEALTH_PATH TIMEOUT DOMAIN PROCESS...: the slot that had the traffic before takes it again, with its own copies.
revert() {
    app=$1 health=$2 timeout=$3 domain=$4
    shift 4
    processes=$*
    old=$(live_of "$app")
    new=$(other "${old:-green}")
    if [ ! -e "/etc/$app/$new/fingerprint" ]; then fail "$app: there is no release to go back to"; fi
    release=$(readlink "/etc/$app/$new/release")
    release=${release##*/}
    take_over
}

take_over() {
    switched=
    was=$(readlink "/srv/$app/current" || true)
    systemctl reset-failed "$app@$new" 2>/dev/null || true
    systemctl daemon-reload
    since=$(date '+%Y-%m-%d %H:%M:%S')
    trap undo EXIT
    systemctl start "$app@$new" || fail "$app: $release did not start within ${timeout}s; its last log lines stand above"
    await_health || fail "$app: $release was not healthy within ${timeout}s ($health answered $answer); its last log lines stand above"
    switched=yes
    point "/run/$app/current.sock" "$new.sock"
    point "/srv/$app/current" "releases/$release"
    if [ -n "$domain" ]; then
        answer=$(curl -s -k -o /dev/null -m 10 -w '%{http_code}' --resolve "$domain:443:127.0.0.1" "https://$domain$health" || true)
        if [ "$answer" = 503 ] && [ -e "/var/lib/provision/apps/$app/maintenance" ]; then answer=200; fi
        if [ "$answer" != 200 ]; then fail "$app: $release is healthy, but https://$domain$health answers $answer through nginx"; fi
    fi
    point "/etc/$app/current" "$new"
    for process in $processes; do systemctl enable --quiet "$app-$process.service"; done
    restart_processes || fail "$app: $process does not keep running with $release"
    systemctl enable --quiet "$app@$new"
    trap - EXIT
    if [ -n "$old" ]; then
        systemctl disable --quiet "$app@$old"
        sleep 0.2
        systemctl stop "$app@$old"
        systemctl reset-failed "$app@$old" 2>/dev/null || true
    fi
    record good
}

# The processes beside the web app go over to what /etc/APP/current names, and must run for a second.
restart_processes() {
    for process in $processes; do systemctl restart "$app-$process.service" || return 1; done
    if [ -n "$processes" ]; then sleep 1; fi
    for process in $processes; do
        if ! systemctl is-active --quiet "$app-$process.service"; then
            journalctl -q -o cat --no-pager -u "$app-$process.service" -n 30 || true
            return 1
        fi
    done
}

# record good|failed: who deployed what, and how it went.
record() {
    (umask 022 && mkdir -p "/var/lib/provision/apps/$app/releases")
    printf '%s\t%s\t%s\n' "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${who:-}" | put "/var/lib/provision/apps/$app/releases/$release" root root 644
    printf '{"app":"%s","release":"%s","at":"%s","slot":"%s","state":"%s","who":"%s"}\n' "$app" "$release" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$new" "$1" "${who:-}" >>/var/lib/provision/history.jsonl
}

# A slot's own copies: what it runs with stays as it is until it is the idle one again.
prepare_slot() {
    slot=/etc/$app/$new
    mkdir -p "$slot"
    chown "root:$app" "$slot"
    chmod 750 "$slot"
    rm -f "$slot/fingerprint"
    put "$slot/env" root "$app" 640 <"/etc/$app/env"
    put "$slot/gunicorn.conf.py" root "$app" 640 <"/etc/$app/gunicorn.conf.py"
    point "$slot/release" "/srv/$app/releases/$release"
    printf '%s\n' "$1" | put "$slot/fingerprint" root root 644
}

# Healthy is three good answers in a row. The unit's end is noticed at once.
await_health() {
    good=0 answer=nothing deadline=$(($(date +%s) + timeout))
    while [ "$(date +%s)" -le "$deadline" ]; do
        answer=$(ask "/run/$app/$new.sock" "$domain" "$health")
        if [ "$answer" = 200 ]; then good=$((good + 1)); else good=0; fi
        if [ "$good" -ge 3 ]; then return 0; fi
        if ! systemctl is-active --quiet "$app@$new"; then return 1; fi
        sleep 0.1
    done
    return 1
}

undo() {
    if [ "$was" != "releases/$release" ]; then record failed; fi
    if [ -n "$switched" ]; then
        if [ -n "$old" ]; then point "/run/$app/current.sock" "$old.sock"; else rm -f "/run/$app/current.sock"; fi
        if [ -n "$was" ]; then point "/srv/$app/current" "$was"; else rm -f "/srv/$app/current"; fi
        systemctl disable --quiet "$app@$new" || true
        if [ -n "$old" ] && [ -e "/etc/$app/$old/release" ]; then
            point "/etc/$app/current" "$old"
            restart_processes || true
        else
            for process in $processes; do systemctl disable --quiet --now "$app-$process.service" || true; done
            rm -f "/etc/$app/current"
        fi
    fi
    journalctl -q -o cat --no-pager -u "$app@$new" --since "$since" -n 30 || true
    systemctl stop "$app@$new" || true
    systemctl reset-failed "$app@$new" 2>/dev/null || true
    if [ -z "$old" ]; then rm -f "/run/$app/current.sock"; fi
}

# prune KEEP: the newest good releases stay, and those in use; environments stay while a release uses them.
prune() {
    used=$(readlink -f "/etc/$app/blue/release" "/etc/$app/green/release" "/srv/$app/current" || true)
    grep -l '^failed' "/var/lib/provision/apps/$app/releases/"* 2>/dev/null | while read -r path; do
        path=/srv/$app/releases/${path##*/}
        if ! printf '%s\n' "$used" | grep -qxF "$path"; then rm -rf "$path"; fi
    done
    find "/srv/$app/releases" -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n "+$(($1 + 1))" | while read -r path; do
        if ! printf '%s\n' "$used" | grep -qxF "$path"; then rm -rf "$path"; fi
    done
    for path in "/var/lib/provision/apps/$app/releases/"*; do
        if [ ! -e "/srv/$app/releases/${path##*/}" ]; then rm -f "$path"; fi
    done
    used=$(readlink -f "/srv/$app"/releases/*/.venv || true)
    find "/srv/$app/venvs" -mindepth 1 -maxdepth 1 -type d | while read -r path; do
        if ! printf '%s\n' "$used" | grep -qxF "$path"; then rm -rf "$path"; fi
    done
}
