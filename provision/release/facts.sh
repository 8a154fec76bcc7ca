# shellcheck shell=sh disable=SC2034,SC2154
# What must be known about the apps on a server before a plan is made. Only root's own records and files say which apps there are: a
# folder below /run or /srv may be anybody's, and a FIFO in it would be waited for.

# apps_known: sets apps_there (the names of the apps), once.
apps_known() {
    if [ -n "${apps_there+set}" ]; then return 0; fi
    layout_app '*'
    apps_there=$({
        for folder in $app_state; do if [ -d "$folder" ]; then echo "${folder##*/}"; fi; done
        managed_facts | sed 's/^managed	app=\([^	]*\).*/\1/'
    } | sort -u)
}

# known_facts: out: a record with app for each app that the server has a record of, or data of with the user who owns it.
known_facts() {
    apps_known
    for app in $apps_there; do
        layout_app "$app"
        if [ -d "$app_state" ]; then printf 'known\tapp=%s\n' "$app"; fi
    done
    layout_app '*'
    for folder in $app_adopted; do
        if [ -d "$folder" ] && [ ! -d "$provision_state/apps/${folder##*/}" ]; then printf 'known\tapp=%s\n' "${folder##*/}"; fi
    done
    if [ ! -r "$root/etc/passwd" ]; then return 0; fi
    while IFS=: read -r app _ number _ _ home shell; do
        case $app$home$shell in [!a-z]* | *[!a-z0-9/-]*) continue ;; esac
        layout_app "$app"
        if [ "$home $shell" = "${app_shared#"$root"} /usr/sbin/nologin" ] && [ "$number" -lt 1000 ] && [ ! -d "$app_state" ]; then
            printf 'known\tapp=%s\n' "$app"
        fi
    done <"$root/etc/passwd"
}

# release_state APP ID: sets state (active, good, failed or new), and when and by (who deployed it), each - if it never was.
release_state() {
    layout_app "$1"
    layout_release "$1" "$2"
    state=new when=- by=-
    if [ -r "$release_record" ]; then IFS='	' read -r state when by <"$release_record"; fi
    case $state in good | failed) ;; *) state=new ;; esac
    if [ "$(readlink "$app_current")" = "releases/$2" ]; then state=active; fi
}

# Out: a record for each complete release: app, id, commit, folder, state (active, good, failed or new), and settings (what it ran
# with; empty if it never did).
release_facts() {
    apps_known
    for app in $apps_there; do
        layout_release "$app" '*'
        for stamp in $release_stamp; do
            if [ -e "$stamp" ]; then
                id=${stamp%/.release}
                id=${id##*/}
                release_state "$app" "$id"
                IFS='	' read -r commit folder _ <"$stamp"
                printf 'release\tapp=%s\tid=%s\tcommit=%s\tfolder=%s\tstate=%s\tsettings=%s\n' "$app" "$id" "$commit" "$folder" "$state" \
                    "$(sed -n 2p "$release_record" 2>/dev/null)"
            fi
        done
    done
}

# Out: a record for each release that can be previewed: app, release, and token.
preview_facts() {
    apps_known
    for app in $apps_there; do
        layout_app "$app"
        if [ -e "$app_preview_slot" ]; then
            layout_slot "$app" "$(cat "$app_preview_slot")"
            release=$(readlink "$slot_release" || true)
            for token in "$app_preview_tokens/"*; do
                case ${token##*/} in *[!A-Za-z0-9_-]*) continue ;; esac
                printf 'preview\tapp=%s\trelease=%s\ttoken=%s\n' "$app" "${release##*/}" "${token##*/}"
            done
        fi
    done
}

# Out: a record for each file of ours that a process manager reads: app and path.
managed_facts() {
    for path in $managed_globs; do
        if [ -f "$path" ] && read -r first <"$path"; then
            case $first in
            '# provision: '* | '; provision: '*)
                first=${first#? provision: }
                printf 'managed\tapp=%s\tpath=%s\n' "${first%%.*}" "${path#"$root"}"
                ;;
            esac
        fi
    done
}

# Out: a record for each migration, oldest first: app, release, and what it did.
migration_facts() {
    apps_known
    for app in $apps_there; do
        layout_app "$app"
        if [ -r "$app_migrations" ]; then
            while IFS='	' read -r release what; do
                printf 'migration\tapp=%s\trelease=%s\twhat=%s\n' "$app" "$release" "$what"
            done <"$app_migrations"
        fi
    done
}

# Out: a record for each app whose commits the controller sends: app, and the commit that it sent last.
pushed_facts() {
    apps_known
    for app in $apps_there; do
        layout_app "$app"
        ref=$app_repository/refs/provision/pushed
        if [ -r "$ref" ]; then printf 'pushed\tapp=%s\tcommit=%s\n' "$app" "$(cat "$ref")"; fi
    done
}

# Out: a record for each part of `hardening` of which something is there: part.
hardened_facts() {
    hardened_part system "$hardened_kernel" "$hardened_journal" "$hardened_dumps" "$hardened_manager" "$hardened_limits" "$hardened_greeting" "$hardened_modules" "$hardened_idle" "$hardened_passwords" "$hardened_swap" "$provision_kernel"
    hardened_part updates "$hardened_updates" "$hardened_restarts" "$provision_timers"
    hardened_part auditing "$hardened_integrity" "$hardened_integrity_unit" "$hardened_integrity_timer" "$hardened_integrity_state"
}

hardened_part() {
    part=$1
    shift
    for path; do if [ -e "$path" ]; then printf 'hardened\tpart=%s\n' "$part" && return 0; fi; done
}
