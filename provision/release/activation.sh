# shellcheck shell=sh disable=SC2154
# A plan's call assigns what these functions read.

# In: NUMBER APP HEALTH_PATH DOMAIN|- NAME=SHA256,NAME=SHA256... PROCESS,PROCESS...|-. Out: NUMBER SLOT FINGERPRINT ACTIVE ENABLED
# NEEDS_DAEMON_RELOAD same|differs IDLE_SLOT_ACTIVE UNFINISHED_RELEASE CURRENT_RELEASE HEALTH_STATUS DOWN_PROCESSES HELD_RELEASE HELD_FINGERPRINT
# HELD_HEALTH_STATUS, where a slot has the traffic.
probe_activations() {
    while IFS='	' read -r number app health domain copies names; do
        slot=$(slot_of "$app")
        if [ -z "$slot" ]; then continue; fi
        manager=$(manager_of "$app" "$slot") idle=$(other "$slot")
        enabled=disabled reload=no
        if [ "$manager" = systemd ]; then
            shown=$(systemctl show -p ActiveState -p UnitFileState -p NeedDaemonReload "$app@$slot" | sort | cut -d= -f2 | tr '\n' '\t')
            IFS='	' read -r active reload enabled <<END_OF_UNIT
$shown
END_OF_UNIT
        else
            active=$(program_state "$app-$slot")
            if [ "$(readlink "/etc/$app/current")" = "$slot" ]; then enabled=enabled; fi
        fi
        if [ "$domain" = - ]; then domain=; fi
        idle_state=$(slot_state "$app" "$idle") held='' held_print='' held_health=''
        if [ "$(held_slot "$app")" = "$idle" ]; then
            held=$(readlink "/etc/$app/$idle/release") held=${held##*/}
            held_print=$(cat "/etc/$app/$idle/fingerprint")
            held_health=$(ask "/run/$app/$idle.sock" "$domain" "$health")
            idle_state=inactive
        fi
        down=
        if [ "$names" != - ]; then
            for name in $(printf '%s' "$names" | tr , ' '); do
                if [ "$(process_state "$app" "$name" "$manager")" != active ]; then down="$down $name"; fi
            done
        fi
        current=$(readlink "/srv/$app/current" || true)
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$number" "$slot" \
            "$(cat "/etc/$app/$slot/fingerprint" 2>/dev/null)" "$active" "${enabled:-none}" "$reload" \
            "$(copies_of "$app" "$slot" "$copies")" "$idle_state" "$(cat "/var/lib/provision/apps/$app/unfinished" 2>/dev/null)" "${current##*/}" "$(ask "/run/$app/$slot.sock" "$domain" "$health")" \
            "${down# }" "$held" "$held_print" "$held_health"
    done
}

# copies_of APP SLOT NAME=SHA256,...: same, where the slot's own files are those.
copies_of() {
    if ! printf '%s\n' "$3" | tr , '\n' | while IFS='=' read -r name sum; do printf '%s  /etc/%s/%s/%s\n' "$sum" "$1" "$2" "$name"; done |
        sha256sum --status --check 2>/dev/null; then
        echo differs
    elif [ "$(manager_of "$1" "$2")" = supervisor ] && ! sed "s/@SLOT@/$2/g" "/etc/$1/$2/program.conf" | cmp -s - "$programs/$1-$2.conf"; then
        echo differs
    else
        echo same
    fi
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
        for one in green blue; do if slot_runs "$1" "$one"; then slot=$one; fi; done
    fi
    printf '%s\n' "$slot"
}

other() { if [ "$1" = blue ]; then echo green; else echo blue; fi; }

# held_slot APP: the slot of the release that is held. It stands in /run: a boot ends it.
held_slot() { cat "/run/$1/held" 2>/dev/null || true; }

# activate: starting the idle slot, its health check, the switch by one rename, a check through nginx, the old slot's end.
# What fails before the switch leaves the old slot serving; what fails after it switches back. A release that is held, as it is
# wanted, only takes over. It reads app, release, folder, fingerprint, manager, copies, health, passes, timeout, watch, drain,
# domain, keep, before, after and processes.
activate() {
    old=$(live_of "$app")
    new=$(other "${old:-green}")
    if [ "$(held_slot "$app")" != "$new" ] || [ "$(cat "/etc/$app/$new/fingerprint")" != "$fingerprint" ]; then bring_up_slot; fi
    take_over
    prune
    run_after
    finished
}

# hold TOKEN: the idle slot is brought up, and has no traffic but that of those who have the token.
hold() {
    old=$(live_of "$app")
    if [ -z "$old" ]; then fail "$app: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold"; fi
    new=$(other "$old")
    bring_up_slot
    arm
    start_slot
    trap - EXIT
    point "/run/$app/preview.sock" "$new.sock"
    point "/srv/$app/preview" "releases/$release"
    install -d -m 2750 -o root -g www-data "/run/$app/preview"
    : >"/run/$app/preview/$1"
    chmod 644 "/run/$app/preview/$1"
    printf '%s\n' "$new" >"/run/$app/held"
    if [ "$was" != "releases/$release" ]; then record held; fi
}

# promote: the release that is held takes over.
promote() {
    old=$(live_of "$app")
    new=$(other "${old:-green}")
    if [ "$(held_slot "$app")" != "$new" ]; then fail "$app: no release is held any more"; fi
    release=$(readlink "/etc/$app/$new/release") release=${release##*/}
    take_over
    prune
    run_after
    finished
}

# drop: the release that is held goes.
drop() {
    new=$(held_slot "$app")
    if [ -z "$new" ]; then fail "$app: no release is held any more"; fi
    release=$(readlink "/etc/$app/$new/release") release=${release##*/}
    let_go
    slot_stop "$app" "$new"
    if [ "$(readlink "/srv/$app/current")" != "releases/$release" ]; then record dropped; fi
}

# let_go: what is held, if anything, is no longer.
let_go() { rm -rf "/run/$app/held" "/run/$app/preview" "/run/$app/preview.sock" "/srv/$app/preview"; }

# revert: the slot that had the traffic before takes it again, with its own copies.
revert() {
    old=$(live_of "$app")
    new=$(other "${old:-green}")
    if [ ! -e "/etc/$app/$new/fingerprint" ]; then fail "$app: there is no release to go back to"; fi
    release=$(readlink "/etc/$app/$new/release") release=${release##*/}
    take_over
    finished
}

bring_up_slot() {
    if [ -n "$before" ]; then
        (as_app "$app" "$release" "$folder" sh -c "$before") || fail "$app: the hook before the activation failed, and nothing was switched: $before"
    fi
    let_go
    slot_stop "$app" "$new"
    prepare_slot
}

run_after() {
    if [ -n "$after" ]; then
        (as_app "$app" "$release" "$folder" sh -c "$after") || fail "$app: $release has the traffic, but the hook after the activation failed: $after"
    fi
}

# A slot's own copies: what it runs with stays as it is until it is the idle one again.
prepare_slot() {
    slot=/etc/$app/$new
    mkdir -p "$slot"
    chown "root:$app" "$slot"
    chmod 750 "$slot"
    rm -f "$slot/fingerprint"
    slot_at_boot "$app" "$new" no
    if [ -e "$programs/$app-$new.conf" ]; then
        rm -f "$programs/$app-$new.conf"
        unload_program "$app-$new"
    fi
    for name in env gunicorn.conf.py start program.conf; do
        case ",$copies," in
        *",$name,"*)
            mode=$(stat -c %a "/etc/$app/$name")
            put "$slot/$name" root "$app" "$mode" <"/etc/$app/$name"
            ;;
        *) rm -f "$slot/$name" ;;
        esac
    done
    if [ "$manager" = supervisor ]; then sed "s/@SLOT@/$new/g" "$slot/program.conf" | put "$programs/$app-$new.conf" root root 644; fi
    point "$slot/release" "/srv/$app/releases/$release"
    point "$slot/venv" "$(readlink -f "/srv/$app/releases/$release/.venv")"
    printf '%s\n' "$manager" | put "$slot/manager" root root 644
    printf '%s\n' "$fingerprint" | put "$slot/fingerprint" root root 644
}

# arm: from here on, a failure is undone.
arm() {
    switched=
    # What a killed activation left: the old slot must not answer for the new one in the check through nginx.
    rm -f "/run/$app/previous.sock"
    was=$(readlink "/srv/$app/current" || true)
    log_bytes=$(log_end "/var/log/supervisor/$app/$new.log")
    log_since=$(date '+%Y-%m-%d %H:%M:%S')
    trap undo EXIT
}

start_slot() {
    # Where it was lost, or nothing runs: without it the unit of a slot that had no traffic would take this for a boot.
    if [ ! -L "/run/$app/current.sock" ]; then point "/run/$app/current.sock" "${old:-$new}.sock"; fi
    if ! slot_runs "$app" "$new"; then
        slot_start "$app" "$new" || fail "$app: $release did not start within ${timeout}s; its last log lines stand above"
    fi
    await_health || fail "$app: $release was not healthy within ${timeout}s ($health answered $answer); its last log lines stand above"
}

# take_over: until it is finished, a mark says that the next run is to end what this one leaves, should it be killed.
take_over() {
    arm
    start_slot
    mark "$app" unfinished "$release"
    switched=$(date +%s)
    point "/run/$app/current.sock" "$new.sock"
    point "/srv/$app/current" "releases/$release"
    check_through_nginx
    # While the old slot stands by, nginx turns to it for what the new one fails to answer.
    if [ -n "$old" ]; then point "/run/$app/previous.sock" "$old.sock"; fi
    slot_at_boot "$app" "$new" yes
    point "/etc/$app/current" "$new"
    restart_processes "$new" || fail "$app: $process does not keep running with $release"
    watch_slot
    trap - EXIT
    if [ "$(held_slot "$app")" = "$new" ]; then let_go; fi
    if [ -n "$old" ]; then
        slot_at_boot "$app" "$old" no
        drain_slot
        rm -f "/run/$app/previous.sock"
    fi
    record good
}

finished() { rm -f "/var/lib/provision/apps/$app/unfinished"; }

check_through_nginx() {
    if [ -z "$domain" ]; then return 0; fi
    answer=$(curl -s -k -o /dev/null -m 10 -w '%{http_code}' --resolve "$domain:443:127.0.0.1" "https://$domain$health" || true)
    if [ "$answer" = 503 ] && [ -e "/var/lib/provision/apps/$app/maintenance" ]; then answer=200; fi
    if [ "$answer" != 200 ]; then fail "$app: $release is healthy, but https://$domain$health answers $answer through nginx"; fi
}

# watch_slot: for so many seconds with the traffic, the new slot's workers do not all end, and it is healthy at the end of it.
watch_slot() {
    main=$(slot_pid "$app" "$new")
    first=$(workers_of "$main")
    deadline=$((switched + watch))
    while [ "$(date +%s)" -lt "$deadline" ]; do
        sleep 0.2
        stay=
        for worker in $first; do if [ -e "/proc/$worker" ]; then stay=yes; fi; done
        if [ -z "$stay" ]; then fail "$app: $release ended within ${watch}s of having the traffic; its last log lines stand above"; fi
    done
    await_health || fail "$app: $release was no longer healthy after ${watch}s with the traffic ($health answered $answer); its last log lines stand above"
}

# drain_slot: the old slot ends once it has answered what it began, or at the limit: then its websockets are closed, and what
# has no end is cut two seconds later.
drain_slot() {
    sleep 0.1
    deadline=$(($(date +%s) + drain))
    while grep -q " 0[23] *[0-9]* /run/$app/$old.sock\$" /proc/net/unix; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            workers=$(workers_of "$(slot_pid "$app" "$old")")
            # shellcheck disable=SC2086 # the ids are words
            { sleep 2 && kill -KILL $workers; } >/dev/null 2>&1 &
            slot_stop "$app" "$old"
            kill "$!" 2>/dev/null || true
            return 0
        fi
        sleep 0.1
    done
    slot_stop "$app" "$old"
}

# restart_processes SLOT: the processes beside the web app go over to what /etc/APP/current names, under that slot's manager,
# and must run for a second.
restart_processes() {
    manages=$(manager_of "$app" "$1")
    if [ "$manages" = supervisor ]; then
        processes_stop "$app" systemd
    elif has_supervisor; then
        processes_stop "$app" supervisor
    fi
    for process in $processes; do process_restart "$app" "$process" "$manages" || return 1; done
    if [ -n "$processes" ]; then sleep 1; fi
    for process in $processes; do
        if [ "$(process_state "$app" "$process" "$manages")" != active ]; then
            process_log "$app" "$process" "$manages"
            return 1
        fi
    done
}

# keep_processes: those that do not run are started again; the app has the traffic as before.
keep_processes() {
    restart_processes "$(live_of "$app")" || fail "$app: $process does not keep running"
}

# record good|failed|held|dropped: who deployed what, and how it went.
record() {
    (umask 022 && mkdir -p "/var/lib/provision/apps/$app/releases")
    printf '%s\t%s\t%s\n' "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${who:-}" | put "/var/lib/provision/apps/$app/releases/$release" root root 644
    printf '{"app":"%s","release":"%s","at":"%s","slot":"%s","state":"%s","who":"%s"}\n' "$app" "$release" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$new" "$1" "${who:-}" >>/var/lib/provision/history.jsonl
}

# Healthy is so many good answers in a row. The slot's end is noticed at once.
await_health() {
    good=0 answer=nothing deadline=$(($(date +%s) + timeout))
    while [ "$(date +%s)" -le "$deadline" ]; do
        answer=$(ask "/run/$app/$new.sock" "$domain" "$health")
        if [ "$answer" = 200 ]; then good=$((good + 1)); else good=0; fi
        if [ "$good" -ge "$passes" ]; then return 0; fi
        if ! slot_runs "$app" "$new"; then return 1; fi
        sleep 0.05
    done
    return 1
}

undo() {
    if [ "$was" != "releases/$release" ]; then record failed; fi
    if [ -n "$switched" ]; then
        if [ -n "$old" ]; then point "/run/$app/current.sock" "$old.sock"; else rm -f "/run/$app/current.sock"; fi
        if [ -n "$was" ]; then point "/srv/$app/current" "$was"; else rm -f "/srv/$app/current"; fi
        if [ -n "$old" ] && [ -e "/etc/$app/$old/release" ]; then
            point "/etc/$app/current" "$old"
            slot_at_boot "$app" "$new" no
            restart_processes "$old" || true
        else
            processes_stop "$app" systemd
            if has_supervisor; then processes_stop "$app" supervisor; fi
            slot_at_boot "$app" "$new" no
            rm -f "/etc/$app/current"
        fi
    fi
    slot_log "$app" "$new" "$log_since" "$log_bytes"
    let_go
    slot_stop "$app" "$new"
    rm -f "/run/$app/previous.sock"
    if [ -z "$old" ]; then rm -f "/run/$app/current.sock"; fi
    finished
}

# prune: the newest good releases stay, and those in use; environments stay while a release or a slot uses them.
prune() {
    used=$(readlink -f "/etc/$app/blue/release" "/etc/$app/green/release" "/srv/$app/current" || true)
    grep -l '^failed' "/var/lib/provision/apps/$app/releases/"* 2>/dev/null | while read -r path; do
        path=/srv/$app/releases/${path##*/}
        if ! printf '%s\n' "$used" | grep -qxF "$path"; then rm -rf "$path"; fi
    done
    find "/srv/$app/releases" -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n "+$((keep + 1))" | while read -r path; do
        if ! printf '%s\n' "$used" | grep -qxF "$path"; then rm -rf "$path"; fi
    done
    for path in "/var/lib/provision/apps/$app/releases/"*; do
        if [ ! -e "/srv/$app/releases/${path##*/}" ]; then rm -f "$path"; fi
    done
    used=$(readlink -f "/srv/$app"/releases/*/.venv "/etc/$app/blue/venv" "/etc/$app/green/venv" || true)
    find "/srv/$app/venvs" -mindepth 1 -maxdepth 1 -type d | while read -r path; do
        if ! printf '%s\n' "$used" | grep -qxF "$path"; then rm -rf "$path"; fi
    done
}
