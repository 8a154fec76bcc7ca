# shellcheck shell=sh disable=SC2154
# Activation: start the idle slot, check its health, switch by one rename, check through nginx, end the old slot.
# A failure before the switch leaves the old slot serving; a failure after it switches back.
#
# Reads what slot.sh and process.sh read, and of a plan's call (release/slot.py):
#   folder        the app's folder in the release
#   watch         seconds for which the new slot must stay healthy with the traffic
#   drain         seconds that the old slot may take to end
#   before, after the hooks' commands; empty if there are none
#   domains       the public names that must answer after the switch; none if there is no nginx
#   settings      what the release runs with, for a rollback; empty if the record has it already
#   who           who runs this (set by the run)
# Sets old and new (the slots), was (where the link to the active release led), switched (seconds since 1970; empty before the
# switch) and log_mark (where the new slot's log ended before its start).

# activation_run [stop-first]: a release whose preview has the wanted fingerprint only has to take over.
activation_run() {
    activation_slots
    if [ "${1:-}" = stop-first ]; then activation_stop_old; fi
    layout_slot "$app" "$new"
    if [ "$(preview_slot)" != "$new" ] || [ "$(cat "$slot_fingerprint")" != "$fingerprint" ]; then activation_prepare; fi
    activation_take_over
    release_prune
    activation_after
    activation_finished
}

# activation_revert [SLOT]: the previous slot, or this one, takes over again, with its own copies of everything. It may have kept
# the traffic, where the activation was killed before its switch.
activation_revert() {
    activation_slots
    if [ -n "${1:-}" ] && [ "$old" = "$1" ]; then
        activation_abandon
        return 0
    fi
    layout_slot "$app" "$new"
    if [ ! -e "$slot_fingerprint" ]; then fail "$app: there is no release to go back to"; fi
    activation_release "$new"
    # It was healthy in its time, and there is no other way back: on a server that is busy it gets longer.
    timeout=$((timeout * 3))
    activation_take_over
    activation_finished
}

# activation_abandon: the old slot has the traffic; nothing is left of the new one, unless that has a preview.
activation_abandon() {
    if [ "$(preview_slot)" = "$new" ]; then return 0; fi
    slot_stop "$app" "$new"
    slot_at_boot "$app" "$new" no
    slot_at_boot "$app" "$old" yes
    activation_release "$old"
    point "$app_current" "releases/$release"
    point "$app_active_slot" "$old"
    if [ -d "$app_static" ]; then point "$app_static_current" "$old"; fi
    rm -f "$app_standing_by" "$app_previous_socket"
    if [ -e "$app_unfinished" ]; then process_restart_all "$old" || true; fi
    activation_finished
}

# activation_slots: sets old (empty if nothing serves) and new.
activation_slots() {
    old=$(slot_live "$app")
    new=$(slot_other "${old:-green}")
}

# activation_stop_old: end the old slot before the new one starts, for good: whatever fails later, it does not serve again.
activation_stop_old() {
    if [ -z "$old" ]; then return 0; fi
    rm -f "$app_current_socket"
    process_stop_all "$app"
    slot_at_boot "$app" "$old" no
    slot_stop "$app" "$old"
    process_kill_all "$app"
    old=
}

# activation_release SLOT: sets release to the slot's.
activation_release() {
    layout_slot "$app" "$1"
    release=$(readlink "$slot_release") release=${release##*/}
}

# activation_prepare: run the hook, then give the new slot its own copies of everything.
activation_prepare() {
    activation_before
    preview_end
    slot_stop "$app" "$new"
    slot_prepare
}

activation_before() {
    if [ -n "$before" ]; then
        links_lead "$app" "$release"
        activation_hook "$before" || fail "$app: the hook before the activation failed, and nothing was switched: $before$hint"
    fi
}

activation_after() {
    if [ -n "$after" ]; then
        activation_hook "$after" || fail "$app: $release has the traffic, but the hook after the activation failed: $after$hint"
    fi
}

# activation_hook COMMAND: sets hint (what may help) if it fails.
activation_hook() {
    rm -f "$provision_runtime"/hook.*
    said=$(mktemp "$provision_runtime/hook.XXXXXX") hint=
    { command_run "$app" "$release" "$folder" sh -c "$1" 2>&1 || : >"$said.failed"; } | command_keep "$said"
    failed=$(ls "$said.failed" 2>/dev/null || true)
    if [ -n "$failed" ]; then hint=$(command_hint "$app" "$said"); fi
    rm -f "$said" "$said.failed"
    [ -z "$failed" ]
}

# activation_arm: undo whatever fails from here on.
activation_arm() {
    switched=
    # A killed activation may have left it.
    rm -f "$app_standing_by" "$app_previous_socket"
    was=$(readlink "$app_current" || true)
    log_mark=$(slot_log_mark "$app" "$new")
    trap activation_undo EXIT
}

# activation_take_over: a mark tells the next run to finish the activation, in case this run is killed.
activation_take_over() {
    activation_arm
    slot_bring_up
    mark_write "$app" unfinished "$release"
    # While the old slot stands by, nginx passes to it what the new one fails to answer.
    if [ -n "$old" ]; then
        point "$app_previous_socket" "$old.sock"
        (umask 022 && : >"$app_standing_by")
    fi
    switched=$(date +%s)
    point "$app_current_socket" "$new.sock"
    point "$app_current" "releases/$release"
    point "$app_static_current" "$new"
    activation_check_through_nginx
    slot_at_boot "$app" "$new" yes
    point "$app_active_slot" "$new"
    process_restart_all "$new" || fail "$app: $process does not keep running with $release$(process_hint)"
    activation_watch
    trap - EXIT
    if [ "$(preview_slot)" = "$new" ]; then preview_end; fi
    # Also where no slot had the traffic: one that was stopped by hand may still be enabled.
    slot_at_boot "$app" "$(slot_other "$new")" no
    if [ -n "$old" ]; then
        activation_drain
        rm -f "$app_standing_by" "$app_previous_socket"
    fi
    activation_record good
}

activation_finished() { rm -f "$app_unfinished"; }

# activation_check_through_nginx: each public name answers, and from this release: to a request of this server that asks for it, nginx
# tells which release and which socket a name's site has. A site of the project's own may not.
activation_check_through_nginx() {
    wanted=
    if grep -qs X-Provision-Release "$root/etc/nginx/sites-enabled/zz-$app.conf"; then wanted="$(readlink -f "$app_current") unix:$app_current_socket"; fi
    for name in $domains; do
        said=$(curl -s -k -o /dev/null -D - -m 10 -H 'X-Provision-Asks: yes' --resolve "$name:443:127.0.0.1" "https://$name$health" | tr -d '\r')
        answer=$(printf '%s\n' "$said" | sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p')
        if [ "$answer" = 503 ] && [ -e "$app_maintenance" ]; then continue; fi
        if [ "$name" = "$domain" ] && [ "$answer" != 200 ]; then
            fail "$app: $release is healthy, but https://$name$health answers ${answer:-nothing} through nginx"
        fi
        if [ -n "$wanted" ] && [ "$(printf '%s\n' "$said" | sed -n 's/^x-provision-release: //Ip')" != "$wanted" ]; then
            fail "$app: https://$name$health answers ${answer:-nothing} through nginx, and not from $release: another site of this server has the name (nginx -T shows which)"
        fi
    done
}

# activation_watch: with the traffic, the new slot's workers must not all end, and its health check must not answer badly for a
# second, twice at least; it may take 0.8 s, or 5 s if it was slow before the switch.
activation_watch() {
    layout_slot "$app" "$new"
    workers=$(slot_workers "$(slot_pid "$app" "$new")")
    deadline=$((switched + watch)) bad='' times=0 limit=0.8 pause=0.2
    if [ "$took" -gt 50 ]; then limit=5; fi
    while [ "$(date +%s)" -lt "$deadline" ] || [ "$bad" != no ]; do
        activation_check_workers
        asked=$(slot_clock)
        answer=$(slot_http_status "$slot_socket" "$domain" "$health" "$limit")
        if [ "$answer" = 200 ]; then
            bad=no times=0 pause=0.2
        else
            pause=0.1
            case $bad in '' | no) bad=$asked ;; esac
            times=$((times + 1))
            if [ "$times" -ge 2 ] && [ "$(($(slot_clock) - bad))" -ge 100 ]; then
                activation_check_workers
                if [ "$answer" = 000 ]; then answer=nothing; fi
                fail "$app: $release was no longer healthy with the traffic ($health answered $answer for a second); its last log lines stand above$(slot_hint '')"
            fi
        fi
        sleep "$pause"
    done
}

# activation_check_workers: fail if all of the workers have ended.
activation_check_workers() {
    for worker in $workers; do if [ -e "/proc/$worker" ]; then return 0; fi; done
    fail "$app: $release ended within ${watch}s of having the traffic; its last log lines stand above$(slot_hint '')"
}

# activation_drain: end the old slot once it has no connection left, or at the limit. Then its websockets are closed, and
# whatever still streams is cut off two seconds later.
activation_drain() {
    sleep 0.1
    deadline=$(($(date +%s) + drain))
    layout_slot "$app" "$old"
    while grep -q " 0[23] *[0-9]* $slot_socket\$" /proc/net/unix; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            workers=$(slot_workers "$(slot_pid "$app" "$old")")
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

# activation_record good|failed|held|dropped: write down who deployed what, and how it went.
activation_record() {
    at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    layout_release "$app" "$release"
    (umask 022 && mkdir -p "$app_records")
    if [ -z "$settings" ]; then settings=$(sed -n 2p "$release_record" 2>/dev/null || true); fi
    printf '%s\t%s\t%s\n%s\n' "$1" "$at" "${who:-}" "$settings" | put "$release_record" root root 600
    printf '{"app":"%s","release":"%s","at":"%s","slot":"%s","state":"%s","who":"%s"}\n' "$app" "$release" \
        "$at" "$new" "$1" "${who:-}" >>"$provision_history"
}

# activation_undo: what takes the traffic back comes first, and needs no room on the disk. Whatever fails here, the rest is done.
activation_undo() {
    set +e
    if [ -n "$switched" ]; then activation_switch_back; fi
    slot_log "$app" "$new" "$log_mark"
    preview_end
    slot_stop "$app" "$new"
    rm -f "$app_standing_by" "$app_previous_socket"
    if [ -z "$old" ]; then rm -f "$app_current_socket"; fi
    if [ "$was" != "releases/$release" ]; then activation_record failed; fi
    activation_finished
    if [ -n "${taken_from:-}" ]; then takeover_back; fi
}

activation_switch_back() {
    if [ -n "$old" ]; then point "$app_current_socket" "$old.sock"; else rm -f "$app_current_socket"; fi
    if [ -n "$old" ]; then point "$app_static_current" "$old"; else rm -f "$app_static_current"; fi
    if [ -n "$was" ]; then point "$app_current" "$was"; else rm -f "$app_current"; fi
    if [ -n "$old" ] && [ -e "$app_configuration/$old/release" ]; then
        point "$app_active_slot" "$old"
        slot_at_boot "$app" "$new" no
        (process_restart_all "$old")
    else
        process_stop_all "$app"
        slot_at_boot "$app" "$new" no
        rm -f "$app_active_slot"
    fi
}
