# shellcheck shell=sh disable=SC2034,SC2154
# An app's two slots, blue and green: which one has the traffic, what each runs with, how each is started and checked.
#
# Reads what layout_app sets. The functions that change a slot also read what a plan's call (release/slot.py) sets:
#   app           its name
#   release       the release's id
#   fingerprint   a hash of everything that the slot runs with
#   manager       the process manager that is to run the slot
#   copies        names of the files that the slot gets copies of, separated by commas
#   health        path of the health check
#   domain        host name that the health check asks for; empty if there is no nginx
#   passes        how many good answers in a row make it healthy
#   timeout       seconds within which it must be healthy
#   static        lines URL=FOLDER: the folders of the release that nginx serves itself
# and the slots, set by activation.sh and preview.sh: old (empty if none has the traffic) and new.

# slot_current: the slot that the link names; empty if there is no link.
slot_current() {
    slot=$(readlink "$app_current_socket" || true)
    case ${slot%.sock} in blue | green) printf '%s\n' "${slot%.sock}" ;; *) echo ;; esac
}

# slot_live APP: the slot that has the traffic; if the link is gone, one that runs.
slot_live() {
    slot=$(slot_current)
    if [ -z "$slot" ]; then
        for one in green blue; do if slot_is_running "$1" "$one"; then slot=$one; fi; done
    fi
    printf '%s\n' "$slot"
}

# slot_other SLOT
slot_other() { if [ "$1" = blue ]; then echo green; else echo blue; fi; }

# slot_manager_of APP SLOT: the process manager that the slot was prepared for; if no file says so, the one that runs it.
slot_manager_of() {
    found=$(cat "$app_configuration/$2/manager" 2>/dev/null || true)
    case " $process_managers " in
    *" ${found:-none} "*) ;;
    *)
        found=systemd
        for each in $process_managers; do if [ "$("${each}_slot_state" "$1" "$2")" = active ]; then found=$each; fi; done
        ;;
    esac
    printf '%s\n' "$found"
}

# slot_by_manager VERB APP SLOT ...: call MANAGER_slot_VERB of the slot's own process manager.
slot_by_manager() {
    verb=$1
    shift
    "$(slot_manager_of "$1" "$2")_slot_$verb" "$@"
}

slot_state() { slot_by_manager state "$@"; }
slot_start() { slot_by_manager start "$@"; }
slot_at_boot() { slot_by_manager at_boot "$@"; }
slot_pid() { slot_by_manager pid "$@"; }
slot_since() { slot_by_manager since "$@"; }
slot_log_mark() { slot_by_manager log_mark "$@"; }
slot_log() { slot_by_manager log "$@"; }
slot_is_running() { [ "$(slot_state "$1" "$2")" = active ]; }

# slot_stop APP SLOT: whichever process manager runs it.
slot_stop() { for each in $process_managers; do "${each}_slot_stop" "$1" "$2"; done; }

# slot_workers PID: the ids of its children.
slot_workers() { cat "/proc/$1/task/$1/children" 2>/dev/null || true; }

# slot_memory PID: the bytes that it and its children use, each shared page counted once (smaps_rollup's Pss).
slot_memory() {
    if [ "$1" = 0 ]; then
        echo 0
        return 0
    fi
    for each in $1 $(slot_workers "$1"); do sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$each/smaps_rollup"; done 2>/dev/null |
        awk '{ sum += $1 } END { printf "%d", sum * 1024 }'
}

# slot_http_status SOCKET DOMAIN PATH [SECONDS]: the answer to a request like nginx's, as an app may accept no other name and no
# plain HTTP; 000 if there is none in time.
slot_http_status() {
    curl -s -o /dev/null -m "${4:-5}" -w '%{http_code}' --unix-socket "$1" -H 'X-Real-IP: 127.0.0.1' -H 'X-Forwarded-For: 127.0.0.1' \
        -H 'X-Forwarded-Proto: https' -H "X-Forwarded-Host: ${2:-localhost}" "http://${2:-localhost}$3" || true
}

# In: NUMBER APP HEALTH_PATH DOMAIN|- NAME=SHA256,NAME=SHA256... SHA256 (of the list of static files).
# Out: the keys of Serving (release/slot.py), if a slot has the traffic.
slot_probe() {
    while IFS='	' read -r number app health domain copies links; do
        layout_app "$app"
        slot=$(slot_current)
        if [ -z "$slot" ]; then continue; fi
        if [ "$domain" = - ]; then domain=; fi
        current=$(readlink "$app_current" || true)
        printf '%s\tslot=%s\t' "$number" "$slot"
        slot_by_manager probe "$app" "$slot"
        layout_slot "$app" "$slot"
        printf 'current=%s\tfingerprint=%s\thealth=%s\tcopies=%s\tdown=%s\tunfinished=%s' "${current##*/}" \
            "$(cat "$slot_fingerprint" 2>/dev/null)" "$(slot_http_status "$slot_socket" "$domain" "$health")" \
            "$(slot_copies "$app" "$slot" "$copies" "$links")" "$(process_down "$app" "$slot")" "$(cat "$app_unfinished" 2>/dev/null)"
        slot_probe_idle "$(slot_other "$slot")"
    done
}

# slot_probe_idle SLOT: the rest of the record, about the slot without traffic; a previewed release counts as idle.
slot_probe_idle() {
    layout_slot "$app" "$1"
    if [ "$(preview_slot)" = "$1" ]; then
        previewed=$(readlink "$slot_release")
        printf '\tidle=inactive\tpreviewed=%s\tpreviewed_fingerprint=%s\tpreviewed_health=%s\n' "${previewed##*/}" \
            "$(cat "$slot_fingerprint")" "$(slot_http_status "$slot_socket" "$domain" "$health")"
    else
        printf '\tidle=%s\n' "$(slot_state "$app" "$1")"
    fi
}

# slot_copies APP SLOT NAME=SHA256,... SHA256: same if the slot's own files and the list of its static files have these checksums,
# otherwise differs.
slot_copies() {
    if ! printf '%s\n' "$3" | tr , '\n' | while IFS='=' read -r name sum; do printf '%s  %s\n' "$sum" "$app_configuration/$2/$name"; done |
        sha256sum --status --check 2>/dev/null; then
        echo differs
    elif [ "$(static_sum "$1" "$2")" != "$4" ]; then
        echo differs
    elif slot_by_manager differs "$1" "$2"; then
        echo differs
    else
        echo same
    fi
}

# slot_clock: hundredths of a second since the boot.
slot_clock() {
    read -r up _ </proc/uptime
    echo "${up%.*}${up#*.}"
}

# slot_prepare: give the slot its own copies of what it runs with; they stay as they are until it is idle again.
slot_prepare() {
    layout_slot "$app" "$new"
    mkdir -p "$slot_folder"
    chown "root:$app" "$slot_folder"
    chmod 750 "$slot_folder"
    rm -f "$slot_fingerprint"
    slot_at_boot "$app" "$new" no
    for each in $process_managers; do "${each}_slot_forget" "$app" "$new"; done
    find "$slot_folder" -mindepth 1 -maxdepth 1 ! -type l -exec rm -rf {} +
    install -d -m 750 -o root -g "$app" "$slot_units"
    for name in $(printf '%s' "$copies" | tr , ' '); do
        mode=$(stat -c %a "$app_configuration/$name")
        put "$slot_folder/$name" root "$app" "$mode" <"$app_configuration/$name"
    done
    "${manager}_slot_write" "$app" "$new"
    layout_release "$app" "$release"
    point "$slot_release" "$release_folder"
    point "$slot_venv" "$(readlink -f "$release_venv")"
    static_copy
    printf '%s\n' "$manager" | put "$slot_manager" root root 644
    printf '%s\n' "$fingerprint" | put "$slot_fingerprint" root root 644
}

# slot_bring_up: start the slot unless it runs, and wait until it is healthy.
slot_bring_up() {
    answer=nothing
    # Without the link, the socket of a slot that had no traffic would mistake this start for a boot.
    if [ ! -L "$app_current_socket" ]; then point "$app_current_socket" "${old:-$new}.sock"; fi
    if ! slot_is_running "$app" "$new"; then
        links_lead "$app" "$release"
        slot_start "$app" "$new" || answer=ended
    fi
    if [ "$answer" != ended ] && slot_await_health && origin_of_slot "$app" "$new"; then return 0; fi
    if [ "$answer" = ended ]; then
        how=$(slot_by_manager exit "$app" "$new")
        hint=$(slot_hint "$how")
        if [ -z "$how" ]; then fail "$app: $release did not start within ${timeout}s; its last log lines stand above"; fi
        fail "$app: $release ended before it was healthy ($how); its last log lines stand above$hint"
    fi
    if [ "$answer" = 000 ]; then answer=nothing; fi
    hint=$(slot_hint '')
    fail "$app: $release was not healthy within ${timeout}s ($health answered $answer); its last log lines stand above${hint:-$(slot_health_hint)}"
}

# slot_health_hint: what to do about an answer that shows that the app runs, or that it did not get that far.
slot_health_hint() {
    case $answer in
        nothing) echo "; if it only takes longer to start, raise apps.$app.health.timeout" ;;
        3?? | 401 | 403 | 404 | 405) echo "; set apps.$app.health to a path that the app answers with 200" ;;
    esac
}

# slot_hint HOW: sandbox_hint for the new slot, by how it ended and by its log. Only systemd has the sandbox.
slot_hint() {
    if [ "$(slot_manager_of "$app" "$new")" = systemd ]; then { printf '%s\n' "$1" && slot_log "$app" "$new" "$log_mark"; } | sandbox_hint "$app" "$app_shared"; fi
}

# slot_await_health: wait for enough good answers in a row; fail once the slot has ended, though it may have been started again: a
# request waits in its socket meanwhile. Sets answer, and took: hundredths of a second for the last one.
slot_await_health() {
    good=0 answer=nothing deadline=$(($(date +%s) + timeout))
    layout_slot "$app" "$new"
    main=$(slot_pid "$app" "$new")
    while left=$((deadline + 1 - $(date +%s))) && [ "$left" -gt 0 ]; do
        if [ "$left" -gt 5 ]; then left=5; fi
        begun=$(slot_clock)
        answer=$(slot_http_status "$slot_socket" "$domain" "$health" "$left")
        took=$(($(slot_clock) - begun))
        if [ "$answer" = 200 ]; then good=$((good + 1)); else good=0; fi
        if [ "$good" -ge "$passes" ]; then return 0; fi
        earlier=$main main=$(slot_pid "$app" "$new")
        if ! slot_is_running "$app" "$new" || { [ "${earlier:-0}" != 0 ] && [ "${main:-0}" != 0 ] && [ "$main" != "$earlier" ]; }; then
            answer=ended
            return 1
        fi
        sleep 0.05
    done
    return 1
}
