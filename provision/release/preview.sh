# shellcheck shell=sh disable=SC2154
# A preview: a release that is healthy in the idle slot, and that only those who have its token can reach.
# Reads what activation.sh reads.

# preview_slot: the slot of the previewed release; empty if there is none. It is kept in /run, so a boot ends the preview.
preview_slot() { if [ -f "$app_preview_slot" ]; then sed -n '1{/^blue$/p;/^green$/p}' "$app_preview_slot"; fi; }

# preview_start TOKEN
preview_start() {
    old=$(slot_live "$app")
    if [ -z "$old" ]; then fail "$app: nothing serves yet, so there is nothing to hold a release back from: deploy without --hold"; fi
    new=$(slot_other "$old")
    activation_prepare
    activation_arm
    slot_bring_up
    trap - EXIT
    point "$app_preview_socket" "$new.sock"
    point "$app_preview" "releases/$release"
    point "$app_static_preview" "$new"
    install -d -m 2750 -o root -g www-data "$app_preview_tokens"
    : >"$app_preview_tokens/$1"
    chmod 644 "$app_preview_tokens/$1"
    printf '%s\n' "$new" >"$app_preview_slot"
    if [ "$was" != "releases/$release" ]; then activation_record held; fi
}

# preview_promote: the previewed release takes over.
preview_promote() {
    activation_slots
    if [ "$(preview_slot)" != "$new" ]; then fail "$app: no release is held any more"; fi
    activation_release "$new"
    activation_take_over
    release_prune
    activation_after
    activation_finished
}

# preview_drop: stop the previewed release.
preview_drop() {
    new=$(preview_slot)
    if [ -z "$new" ]; then fail "$app: no release is held any more"; fi
    activation_release "$new"
    preview_end
    slot_stop "$app" "$new"
    if [ "$(readlink "$app_current")" != "releases/$release" ]; then activation_record dropped; fi
}

# preview_end: close the preview.
preview_end() { rm -rf "$app_preview_slot" "$app_preview_tokens" "$app_preview_socket" "$app_preview" "$app_static_preview"; }
