# shellcheck shell=sh disable=SC2034,SC2154
# What must be known about the apps on a server before a plan is made. A layout with * for its names is a glob.

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
    layout_release '*' '*'
    for stamp in $release_stamp; do
        if [ -e "$stamp" ]; then
            id=${stamp%/.release}
            app=${id%/releases/*}
            app=${app##*/} id=${id##*/}
            release_state "$app" "$id"
            IFS='	' read -r commit folder <"$stamp"
            printf 'release\tapp=%s\tid=%s\tcommit=%s\tfolder=%s\tstate=%s\tsettings=%s\n' "$app" "$id" "$commit" "$folder" "$state" \
                "$(sed -n 2p "$release_record" 2>/dev/null)"
        fi
    done
}

# Out: a record for each release that can be previewed: app, release, and token.
preview_facts() {
    layout_app '*'
    for held in $app_preview_slot; do
        if [ -e "$held" ]; then
            app=${held%/*}
            app=${app##*/}
            layout_app "$app"
            layout_slot "$app" "$(cat "$held")"
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
    layout_app '*'
    for list in $app_migrations; do
        if [ -r "$list" ]; then
            app=${list%/migrations}
            while IFS='	' read -r release what; do
                printf 'migration\tapp=%s\trelease=%s\twhat=%s\n' "${app##*/}" "$release" "$what"
            done <"$list"
        fi
    done
}

# Out: a record for each app whose commits the controller sends: app, and the commit that it sent last.
pushed_facts() {
    layout_app '*'
    for ref in $app_repository/refs/provision/pushed; do
        if [ -r "$ref" ]; then
            app=${ref%/repository.git/*}
            printf 'pushed\tapp=%s\tcommit=%s\n' "${app##*/}" "$(cat "$ref")"
        fi
    done
}
