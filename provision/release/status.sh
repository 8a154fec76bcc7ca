# shellcheck shell=sh disable=SC2154
# Questions about the apps on a server, and commands to run there. Each is one exec, without a run and its lock.
set -u

# status_releases APP...: a record for each release: app, id, commit, state (active, kept, held, failed or new), when, who, author,
# subject. The subject comes last, for it may hold tabs; so may an author's name, which says nothing else of the release.
status_releases() {
    for app; do
        layout_app "$app"
        for path in "$app_releases/"*; do
            if [ ! -r "$path/.release" ]; then continue; fi
            id=${path##*/}
            IFS='	' read -r commit _ <"$path/.release"
            release_state "$app" "$id"
            if [ "$state" = good ]; then state=kept; fi
            if [ "$state" != active ] && [ "$(readlink "$app_preview")" = "releases/$id" ] && [ -e "$app_preview_slot" ]; then state=held; fi
            printf 'app=%s\tid=%s\tcommit=%s\tstate=%s\twhen=%s\twho=%s\t%s\n' "$app" "$id" "$commit" "$state" "$when" "$by" \
                "$(git --git-dir="$app_repository" log -1 --format='author=%an%nsubject=%s' "$commit" 2>/dev/null | sed '1s/\t/ /g' | paste -s)"
        done
    done
}

# status_packages APP...: the same, and a line that begins with packages for each release whose packages are known.
status_packages() {
    status_releases "$@"
    for app; do
        layout_release "$app" '*'
        for path in $release_packages; do
            if [ -f "$path" ]; then printf 'packages\tapp=%s\tid=%s\tpackages=%s\n' "$app" "$(basename "${path%/*}")" "$(tr '\n' ' ' <"$path")"; fi
        done
    done
}

# status_apps APP DOMAIN HEALTH_PATH ...: a record for each app, with the keys of AppStatus (release/status.py); then
# updates=COUNT, the security updates, what waits for a restart (status_waiting), and a record of present_facts for each app on the server.
status_apps() {
    while [ "$#" -ge 3 ]; do
        app=$1 domain=$2 health=$3
        shift 3
        layout_app "$app"
        slot=$(slot_current 2>/dev/null)
        release=$(readlink "$app_current" 2>/dev/null || true)
        since='' main='' maintenance=no
        if [ -n "$slot" ]; then since=$(slot_since "$app" "$slot") main=$(slot_pid "$app" "$slot"); fi
        if [ -n "$since" ]; then since=$(date -u -d "@$since" +%Y-%m-%dT%H:%M:%SZ); fi
        if [ -e "$app_maintenance" ]; then maintenance=yes; fi
        commit=
        if [ -r "$app_current/.release" ]; then IFS='	' read -r commit _ <"$app_current/.release"; fi
        printf 'app=%s\trelease=%s\tcommit=%s\tsince=%s\tslot=%s\thealth=%s\tworkers=%s\tmemory=%s\tdays=%s\tmaintenance=%s\tfailed=%s\n' "$app" \
            "${release##*/}" "$commit" "${since:--}" "${slot:--}" "$(slot_http_status "$app_current_socket" "$domain" "$health")" \
            "$(slot_workers "${main:-0}" | wc -w)" "$(slot_memory "${main:-0}")" "$(certificate_days "$certificate_folder/$app/fullchain.pem")" "$maintenance" "$(certificate_failed "$app")"
    done
    printf 'updates=%s\n' "$(apt-get -s -o Debug::NoLocking=1 upgrade 2>/dev/null | grep -c '^Inst.*[Ss]ecurity')"
    status_waiting
    present_facts
}

# status_waiting: reboot (yes or no), for (the packages that wait for it), and outdated (services that run old libraries, as far as needrestart
# is installed and says so).
status_waiting() {
    reboot=no packages='' outdated=''
    if [ -e "$root/run/reboot-required" ]; then
        reboot=yes
        packages=$(sort -u "$root/run/reboot-required.pkgs" 2>/dev/null | tr '\n' ' ')
    fi
    if command -v needrestart >/dev/null; then
        outdated=$(timeout 30 needrestart -b -l -r l 2>/dev/null | sed -n 's/^NEEDRESTART-SVC: *//p' | sort -u | tr '\n' ' ')
    fi
    printf 'reboot=%s\tfor=%s\toutdated=%s\n' "$reboot" "$packages" "$outdated"
}

# status_deploy_keys APP...: a record for each app: app, and public (the public half of its key; empty if there is none).
status_deploy_keys() {
    for app; do
        layout_app "$app"
        public=
        if [ -e "$app_deploy_key" ]; then public=$(git_public_half "$app_deploy_key"); fi
        printf 'app=%s\tpublic=%s\n' "$app" "$public"
    done
}

# status_logs FOLLOW LINES UNIT|UNIT:NAME...: lines of the journal, in UTC and with their units. UNIT:NAME means those that begin with
# the name; whoever follows is sent all of that unit.
status_logs() {
    follow=$1 lines=$2 count=$2 units='' shared='' named='' filter=''
    shift 2
    for each; do
        unit=${each%%:*}
        units="$units -u $unit"
        if [ "$unit" != "$each" ]; then
            shared="$shared\\|$unit" named="$named\\|$unit\\[[0-9]*\\]: ${each#*:}" count=50000
        fi
    done
    if [ -n "$shared" ]; then filter="/ \\(${shared#??}\\)\\[[0-9]*\\]: /{/ \\(${named#??}\\) /!d}"; fi
    # shellcheck disable=SC2086 # the units are words
    if [ "$follow" = yes ]; then
        TZ=UTC exec stdbuf -oL journalctl -q --no-pager -o with-unit -n "$lines" -f $units
    else
        TZ=UTC journalctl -q --no-pager -o with-unit -n "$count" $units |
            sed "$filter" | tail -n "$lines"
    fi
}

# status_run APP COMMAND MARK: in the active release, with its user, environment and sandbox; what it leaves behind ends with it, at once. Then, in
# a line of its own whatever it has said, the mark, a tab, and the exit status.
status_run() {
    layout_app "$1"
    status=0
    release=$(readlink -f "$app_current")
    IFS='	' read -r _ folder _ <"$release/.release"
    slot=$(readlink "$app_active_slot")
    layout_slot "$1" "$slot"
    sandbox_run "$(sandbox_of "$1" "$slot_sandbox")" -p EnvironmentFile="$slot_env" -p WorkingDirectory="$release/$folder" -p KillMode=mixed \
        --setenv=PATH="$slot_venv/bin:/usr/local/bin:/usr/bin:/bin" --setenv=PROVISION_SLOT="$slot" \
        --setenv=PYTHONDONTWRITEBYTECODE=1 --setenv=PYTHONUNBUFFERED=1 sh -c "$2" </dev/null 2>&1 || status=$?
    printf '\n%s\t%s\n' "$3" "$status"
}

# status_maintenance on|off APP...: a record for each app: app, and maintenance.
status_maintenance() {
    maintenance=$1
    shift
    for app; do
        layout_app "$app"
        if [ "$maintenance" = on ]; then
            (umask 022 && mkdir -p "$app_state" && : >"$app_maintenance")
        else
            rm -f "$app_maintenance"
        fi
        printf 'app=%s\tmaintenance=%s\n' "$app" "$maintenance"
    done
}
