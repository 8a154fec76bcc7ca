# shellcheck shell=sh
set -u
export LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# releases APP...: APP ID COMMIT STATE WHEN WHO AUTHOR SUBJECT, a line a release.
releases() {
    for app; do
        current=$(readlink "/srv/$app/current" || true)
        for path in "/srv/$app/releases/"*; do
            if [ ! -r "$path/.release" ]; then continue; fi
            id=${path##*/} state=new when=- who=-
            IFS='	' read -r commit _ <"$path/.release"
            if [ -r "/var/lib/provision/apps/$app/releases/$id" ]; then
                IFS='	' read -r state when who <"/var/lib/provision/apps/$app/releases/$id"
            fi
            case $state in
            good) state=kept ;;
            failed) ;;
            *) state=new ;;
            esac
            if [ "$(readlink "/srv/$app/preview")" = "releases/$id" ] && [ -e "/run/$app/held" ]; then state=held; fi
            if [ "$current" = "releases/$id" ]; then state=active; fi
            printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$app" "$id" "$commit" "$state" "$when" "$who" \
                "$(git --git-dir="/srv/$app/repository.git" log -1 --format='%an%x09%s' "$commit" 2>/dev/null)"
        done
    done
}

# status APP DOMAIN HEALTH...: APP RELEASE SINCE SLOT HEALTH WORKERS MEMORY DAYS MAINTENANCE; then "updates COUNT".
status() {
    while [ "$#" -ge 3 ]; do
        app=$1 domain=$2 health=$3
        shift 3
        slot=$(readlink "/run/$app/current.sock" 2>/dev/null || true)
        slot=${slot%.sock}
        release=$(readlink "/srv/$app/current" 2>/dev/null || true)
        since='' main='' workers=0 memory=0
        if [ -n "$slot" ]; then since=$(slot_since "$app" "$slot") main=$(slot_pid "$app" "$slot"); fi
        if [ -n "$since" ]; then since=$(date -u -d "@$since" +%Y-%m-%dT%H:%M:%SZ); fi
        if [ "${main:-0}" != 0 ]; then
            workers=$(workers_of "$main" | wc -w)
            memory=$(for one in $main $(workers_of "$main"); do sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$one/smaps_rollup"; done 2>/dev/null |
                awk '{ sum += $1 } END { printf "%d", sum * 1024 }')
        fi
        answer=$(curl -s -o /dev/null -m 5 -w '%{http_code}' --unix-socket "/run/$app/current.sock" -H 'X-Forwarded-Proto: https' "http://$domain$health" || true)
        end=$(openssl x509 -in "/etc/ssl/provision/$app/fullchain.pem" -noout -enddate 2>/dev/null | cut -d= -f2)
        days=-
        if [ -n "$end" ]; then days=$((($(date -d "$end" +%s) - $(date +%s)) / 86400)); fi
        maintenance=no
        if [ -e "/var/lib/provision/apps/$app/maintenance" ]; then maintenance=yes; fi
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$app" "${release##*/}" "${since:--}" "${slot:--}" "$answer" \
            "$workers" "$memory" "$days" "$maintenance"
    done
    printf 'updates\t%s\n' "$(apt-get -s -o Debug::NoLocking=1 upgrade 2>/dev/null | grep -c '^Inst.*[Ss]ecurity')"
}

# deploy_keys APP...: APP PUBLIC_HALF, nothing behind the app where there is none. ssh-keygen reads a pipe, whatever its mode.
# shellcheck disable=SC2002
deploy_keys() {
    for app; do
        printf '%s\t%s\n' "$app" "$(cat "/etc/$app/deploy_key" 2>/dev/null | ssh-keygen -y -P '' -f /dev/stdin 2>/dev/null | cut -d ' ' -f 1,2)"
    done
}

# logs FOLLOW LINES UNIT|FILE...: the units' from the journal, Supervisor's from its files, the newest file last. A file that
# is not there yet is followed too. What follows both writes whole lines, as they share the output.
logs() {
    follow=$1 lines=$2 journal='' files='' missing=''
    shift 2
    for one; do
        case $one in
        /*) if [ -e "$one" ]; then files="$files $one"; else missing="$missing $one"; fi ;;
        *) journal="$journal -u $one" ;;
        esac
    done
    # shellcheck disable=SC2086,SC2012 # the units and files are words
    if [ -n "$files" ]; then files=$(ls -tr $files); fi
    # shellcheck disable=SC2086
    if [ "$follow" = yes ]; then
        if [ -n "$journal" ]; then stdbuf -oL journalctl -q --no-pager -o short-iso -n "$lines" $journal -f & fi
        if [ -n "$files$missing" ]; then stdbuf -oL tail -q -n "$lines" -F $missing $files 2>/dev/null & fi
        wait
    else
        if [ -n "$journal" ]; then journalctl -q --no-pager -o short-iso -n "$lines" $journal; fi
        if [ -n "$files" ]; then tail -q -n "$lines" $files | tail -n "$lines"; fi
    fi
}

# run_in APP COMMAND: in the active release, with the app's user and environment; the exit status comes last.
run_in() {
    status=0
    release=$(readlink -f "/srv/$1/current")
    IFS='	' read -r _ folder <"$release/.release"
    systemd-run --quiet --wait --pipe --collect --service-type=exec -p User="$1" -p Group="$1" \
        -p EnvironmentFile="/etc/$1/env" -p WorkingDirectory="$release/$folder" -p UMask=0027 -p PrivateTmp=yes \
        -p NoNewPrivileges=yes --setenv=PATH="/etc/$1/current/venv/bin:/usr/local/bin:/usr/bin:/bin" \
        --setenv=PYTHONDONTWRITEBYTECODE=1 --setenv=PYTHONUNBUFFERED=1 sh -c "$2" </dev/null 2>&1 || status=$?
    printf 'exit\t%s\n' "$status"
}

# maintenance on|off APP...
maintenance() {
    how=$1
    shift
    for app; do
        mark=/var/lib/provision/apps/$app/maintenance
        if [ "$how" = on ]; then
            (umask 022 && mkdir -p "${mark%/*}" && : >"$mark")
        else
            rm -f "$mark"
        fi
        printf '%s\t%s\n' "$app" "$how"
    done
}
