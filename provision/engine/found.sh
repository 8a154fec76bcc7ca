# shellcheck shell=sh disable=SC2154
# What a server had before this toolkit came. It is noted before it is changed, for the day when the toolkit leaves. A server whose first
# run noted nothing has no such record, and gets none: nobody knows any more what it had.

# found_begin: the first run on a server begins the record, in one step.
found_begin() {
    if [ -e "$provision_state" ]; then return 0; fi
    rm -rf "$provision_state.new"
    mkdir -p "$provision_state.new/${provision_found##*/}"
    mv -T "$provision_state.new" "$provision_state"
}

# found_keep SET PATH: what is at a path, or that nothing is, for found_back. Only the first time: what comes later is ours.
found_keep() {
    if [ ! -d "$provision_found" ] || grep -qsxF -e "$2" "$provision_found/$1/paths"; then return 0; fi
    kept=$provision_found/$1/tree$2
    mkdir -p "${kept%/*}"
    rm -f "$kept"
    if [ -e "$2" ] || [ -L "$2" ]; then cp -aT "$2" "$kept"; fi
    sync -f "$provision_found"
    printf '%s\n' "$2" >>"$provision_found/$1/paths"
    sync "$provision_found/$1/paths"
}

# found_back SET PATH
found_back() {
    kept=$provision_found/$1/tree$2
    if [ -e "$kept" ] || [ -L "$kept" ]; then
        cp -aT --remove-destination "$kept" "${2%/*}/.${2##*/}.provision-new"
        mv -fT "${2%/*}/.${2##*/}.provision-new" "$2"
        sync "${2%/*}"
    else
        rm -f "$2"
    fi
}

# found_adopt FOLDER PATH: what is at a path is kept in this record, and gone.
found_adopt() {
    mkdir -p "$1/tree${2%/*}"
    rm -f "$1/tree$2.new"
    cp -aT "$2" "$1/tree$2.new"
    mv -fT "$1/tree$2.new" "$1/tree$2"
    if ! grep -qsxF -e "$2" "$1/sites"; then printf '%s\n' "$2" >>"$1/sites"; fi
    sync -f "$1"
    rm -f "$2"
}

# found_folder PATH: those of its folders that are yet to be made.
found_folder() {
    if [ ! -d "$provision_found" ]; then return 0; fi
    missing=$1
    while [ -n "$missing" ] && [ ! -e "$missing" ] && ! grep -qsxF -e "$missing" "$provision_found/folders"; do
        printf '%s\n' "$missing" >>"$provision_found/folders"
        missing=${missing%/*}
    done
}

# found_leave: when the toolkit is gone, so are the traces of its last run, once the controller has heard its end. Whoever waits for
# the lock sees that its file is gone.
found_leave() {
    if [ -e "$provision_state" ] || lease_held; then return 0; fi
    (
        flock -n 9 || exit 0
        if [ ! -e "$provision_state" ]; then rm -rf "$provision_runtime"; fi
    ) 9>>"$provision_lock"
}
