# shellcheck shell=sh disable=SC2034,SC2154
# The folder of a build, which only root can go in, and what root takes out of it. Reads app, builder, unit and what layout_app sets.

# box_open: a folder for a build, in work; what a killed run left is gone.
box_open() {
    getent passwd "$builder" >/dev/null || fail "$app: the server has no user $builder, who builds: invoke provision makes it"
    box_stop
    install -d -m 700 -o root -g root "$app_build"
    rm -rf "${app_build:?}"/*
    work=$(mktemp -d "$app_build/XXXXXX") || fail "$app: no space left to build: $(box_room "$app_build")"
}

# box_close: the build has ended, and its folder is gone.
box_close() {
    box_stop
    rm -rf "$work"
    work=''
}

# box_stop: end the build; a run that was killed leaves one behind.
box_stop() { systemctl --quiet stop "$unit" 2>/dev/null || true; }

# box_said WHAT FUNCTION WORD...: what the build says is shown and kept in output; if it fails, there is a file failed. It gets the end of a
# pipe. What it says has an end, too: its beginning and its last part are kept. Where not even that has room, there is none for WHAT.
box_said() {
    made=$1
    shift
    { "$@" 2>&1 || : >"$work/failed"; } | { head -c 500000 && tail -c 500000; } 2>/dev/null >"$work/output" || box_full "$made"
    # No line of it can be taken for one of the toolkit's own.
    sed 's/^/  /' "$work/output"
}

# box_copy FROM TO: what the builder left, as root's: nothing of the builder's comes along, no special mode or access list, and no file
# that somebody has open. The builder's processes are gone, and nobody but root can go where its files are.
box_copy() {
    odd=$(find "$1" ! -type f ! -type d ! -type l -printf '%P' -quit | tr -c '[:print:]' '?' | cut -c 1-200)
    if [ -n "$odd" ]; then fail "$app: the build left something that is neither file, folder nor link: $odd"; fi
    cp -RP --reflink=auto --preserve=timestamps --no-preserve=mode,ownership,xattr "$1" "$2" || box_full "what was built"
    find "$1" -type f -perm /111 -printf '%P\0' | (cd "$2" && xargs -0r chmod 755 --)
    chmod -R a+rX,go-w,a-st "$2"
}

# box_full WHAT
box_full() { fail "$app: no space left for $1: $(box_room "$work" /var/tmp)"; }

# box_room PATH...: the free space on their filesystems.
box_room() { echo "$(room "$@"); make room there, or keep fewer releases (keep_releases)"; }
