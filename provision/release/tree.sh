# shellcheck shell=sh disable=SC2154
# A release's tree: one commit, exported from the app's mirror.

# In: NUMBER APP RELEASE COMMIT FOLDER LINKS. Out: tree (unmodified or modified), if the release is there.
# A file or folder that is newer than the stamp, in its content or its attributes, was touched after the export.
release_probe() {
    while IFS='	' read -r number app release commit folder links; do
        layout_app "$app"
        layout_release "$app" "$release"
        if [ -r "$release_stamp" ] && [ "$(cat "$release_stamp")" = "$commit	$folder${links:+	$links}" ]; then
            if [ -z "$(find "$release_folder" -mindepth 1 ! -name .release \( -newer "$release_stamp" -o -cnewer "$release_stamp" \) -print -quit)" ] && [ -d "$release_folder/$folder" ] && links_are_right "$release_folder/$folder" "$links"; then
                printf '%s\ttree=unmodified\n' "$number"
            else
                printf '%s\ttree=modified\n' "$number"
            fi
        fi
    done
}

# release_export APP RELEASE COMMIT FOLDER UPGRADES LINKS
release_export() {
    umask 022
    layout_app "$1"
    layout_release "$1" "$2"
    beside=$app_releases/.new-$2
    rm -rf "$app_releases"/.new-*
    mkdir -p "$beside"
    trap 'rm -rf "$beside" "$beside.tar"' EXIT
    { release_archive "$beside.tar" "$3" && tar -C "$beside" --no-same-owner -xf "$beside.tar"; } ||
        fail "$1: the release cannot be written to $app_releases: $(room "$app_releases"); make room there, or keep fewer releases (keep_releases)"
    rm -f "$beside.tar"
    if [ ! -d "$beside/$4" ]; then fail "$1: the commit has no folder $4 (source.folder)"; fi
    case $(readlink -f "$beside/$4")/ in "$(readlink -f "$beside")"/*) ;; *) fail "$1: $4 is a link that leads out of the commit (source.folder)" ;; esac
    for own in .release .venv .built .packages .upgraded; do
        if [ -e "$beside/$own" ] || [ -L "$beside/$own" ]; then fail "$1: the commit has a $own at its top, where the server puts its own: remove it from the repository"; fi
    done
    app=$1
    links_make "$beside" "$4" "${6:-}"
    if [ -L "$release_venv" ]; then cp -P "$release_venv" "$beside/.venv"; fi
    if [ -f "$release_packages" ]; then cp "$release_packages" "$beside/.packages"; fi
    release_resolution "$2" "${5:-}"
    printf '%s\t%s%s\n' "$3" "$4" "${6:+	$6}" >"$beside/.release"
    # Others cannot go in: neither another app, nor nginx, which has copies of the static files.
    chown "root:$1" "$beside"
    chmod 750 "$beside"
    sync -f "$beside"
    if [ -e "$release_folder" ]; then mv -T "$release_folder" "$app_releases/.old-$2"; fi
    mv -T "$beside" "$release_folder"
    rm -rf "$app_releases/.old-$2"
}

# release_archive FILE COMMIT [PATH]...: a tar of the commit, of a quarter of the free space at most. A few kilobytes of Git's can be files that are
# larger than any disk, and databases stop where that is full.
release_archive() {
    archived=$1 free=$(df -B 512 --output=avail "${1%/*}" | tail -n 1)
    shift
    (ulimit -f "$((free / 4))" && git --git-dir="$app_repository" archive "$@") >"$archived"
}

# release_resolution RELEASE UPGRADES: a release has the versions of the one that served before it, until one upgrades.
release_resolution() {
    if [ -n "$2" ]; then
        printf '%s\n' "$1" >"$beside/.upgraded"
        return 0
    fi
    from=$app_current
    if [ -d "$release_folder" ]; then from=$release_folder; fi
    if [ -f "$from/.upgraded" ]; then cp "$from/.upgraded" "$beside/.upgraded"; fi
}
