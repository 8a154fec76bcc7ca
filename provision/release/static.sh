# shellcheck shell=sh disable=SC2154
# The static files of a release: nginx serves copies of them, by URL, as it cannot read the release itself.

# static_sum APP SLOT: a checksum of the slot's list of folders, each as URL=FOLDER; empty if its copies have been touched.
static_sum() {
    layout_slot "$1" "$2"
    if [ ! -e "$slot_copied" ] && [ -z "$(ls -A "$slot_static" 2>/dev/null)" ]; then
        printf '' | sha256sum | cut -d' ' -f1
    elif [ "$(sed -n 1p "$slot_copied" 2>/dev/null)" = "$(static_listing "$slot_static")" ]; then
        sed 1d "$slot_copied" | sha256sum | cut -d' ' -f1
    fi
}

# static_listing FOLDER: a checksum of what is in it: names, types, owners, modes, sizes and times.
static_listing() { find "$1" -mindepth 1 -printf '%P %y %u:%g %m %s %T@\n' 2>/dev/null | LC_ALL=C sort | sha256sum | cut -d' ' -f1; }

# static_copy: copy the release's static files for nginx. Reads release, new and static, and the slot's and the release's layouts.
static_copy() {
    rm -rf "$slot_static"
    (umask 022 && mkdir -p "$slot_static")
    printf '%s\n' "$static" | while IFS='=' read -r url folder; do
        if [ -z "$url" ]; then continue; fi
        case $url in */*) (umask 022 && mkdir -p "$slot_static/${url%/*}") ;; esac
        if [ -e "$release_folder/$folder" ]; then static_copy_one "$release_folder/$folder" "$slot_static/$url" 0; fi
    done || exit 1
    chmod -R a+rX,go-w "$slot_static"
    chown root:www-data "$slot_static"
    chmod 750 "$slot_static"
    {
        static_listing "$slot_static"
        printf '%s\n' "$static" | sed '/^$/d' | LC_ALL=C sort
    } | put "$slot_copied" root root 644
}

# static_copy_one SOURCE COPY DEPTH: a link is followed as far as it stays in the release, and what it leads to is copied.
static_copy_one() {
    from=$(readlink -f "$1" || true)
    case $from in
    "$(readlink -f "$release_folder")"/*) ;;
    *) fail "$app: ${1#"$release_folder/"} is a link that leads out of the commit, and its files would be published (static): remove it" ;;
    esac
    if [ "$3" -gt 8 ]; then fail "$app: the links in ${1#"$release_folder/"} lead in circles (static): remove them"; fi
    if [ -n "$(find "$from" -name '*[[:cntrl:]]*' -print -quit)" ]; then fail "$app: ${1#"$release_folder/"} has a file with a control character in its name (static): rename it"; fi
    cp -RPT --preserve=timestamps "$from" "$2" || fail "$app: the static files cannot be copied: $(room "${2%/*}"); make room there, or keep fewer releases (keep_releases)"
    find "$from" -type l -printf '%P\n' | while IFS= read -r link; do
        rm -f "$2/$link"
        (static_copy_one "$from/$link" "$2/$link" $(($3 + 1))) || exit 1
    done || exit 1
}
