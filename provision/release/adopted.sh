# shellcheck shell=sh disable=SC2034,SC2154
# What an app adopts. In its record, `user` has three lines: the user as in passwd(5) and the group as in group(5), each - if there was
# none, and the groups that the user left; `paths` has what is moved aside, `sites` what was nginx's, whose copies are in `tree`. The record
# is written before anything is changed, so that a run that was killed in between can be finished, or undone.

# adopted_begin: reads what layout_app sets.
adopted_begin() {
    (umask 077 && mkdir -p "$app_adopted")
    sync "${app_adopted%/*}"
}

# adopted_user APP GROUP...
adopted_user() {
    layout_app "$1"
    user=$1
    shift
    adopted_begin
    if [ ! -e "$app_adopted/user" ]; then
        {
            getent passwd "$user" || echo -
            getent group "$user" || echo -
            echo "$*"
        } | put "$app_adopted/user" root root 600
    fi
    for group; do
        case " $(id -nG "$user") " in *" $group "*) gpasswd -d "$user" "$group" ;; esac
    done
}

# adopted_has LINE: the user (1) or the group (2) that there was, as it was.
adopted_has() {
    entry=$(sed -n "$1p" "$app_adopted/user" 2>/dev/null)
    case $entry in '' | -) return 1 ;; esac
    printf '%s\n' "$entry"
}

# adopted_moved PATH: whether what was there has been moved aside.
adopted_moved() { grep -qsxF -e "${1#"$root"}" "$app_adopted/paths" && { [ -e "$1.before-provision" ] || [ -L "$1.before-provision" ]; }; }

# adopted_folders APP PATH...: on the file system that they are on, so with all that they have.
adopted_folders() {
    layout_app "$1"
    shift
    adopted_begin
    for path; do
        if ! grep -qsxF -e "$path" "$app_adopted/paths"; then printf '%s\n' "$path" >>"$app_adopted/paths"; fi
        sync "$app_adopted/paths" "$app_adopted"
        path=$root$path
        if [ ! -e "$path" ] && [ ! -L "$path" ]; then continue; fi
        if [ -e "$path.before-provision" ] || [ -L "$path.before-provision" ]; then fail "$path.before-provision is there already: move it away"; fi
        mv -T "$path" "$path.before-provision"
        sync "${path%/*}"
    done
}

# adopted_back APP: the user first: as long as it is the app's, its folders count as the app's, too.
adopted_back() {
    if adopted_has 1 >/dev/null; then adopted_user_back "$1"; fi
    if [ -e "$app_adopted/user" ]; then adopted_group_back "$1"; fi
    adopted_aside | while read -r path; do
        if [ -e "$root$path" ] || [ -L "$root$path" ]; then
            fail "$1: $path is there again, and what was there before is kept in $path.before-provision: move one of them away"
        fi
        adopted_forget_folder "$path"
        mv -T "$root$path.before-provision" "$root$path"
        sync "$root${path%/*}"
    done
    # A site whose domains are now another app's comes back when the toolkit is removed.
    if [ -z "$(uninstall_sites)" ]; then uninstall_rm "$app_adopted"; else rm -f "$app_adopted/user" "$app_adopted/paths"; fi
    rmdir "${app_adopted%/*}" 2>/dev/null || true
}

# adopted_pass_on APP HEIR: the sites are nginx's again when the heir goes, which has their domains.
adopted_pass_on() {
    layout_app "$2"
    heir=$app_adopted
    layout_app "$1"
    if [ ! -e "$app_adopted/sites" ]; then return 0; fi
    (umask 077 && mkdir -p "$heir/tree")
    cp -a "$app_adopted/tree/." "$heir/tree"
    while read -r path; do
        if ! grep -qsxF -e "$path" "$heir/sites"; then printf '%s\n' "$path" >>"$heir/sites"; fi
    done <"$app_adopted/sites"
    sync "$heir/sites" "$heir"
    rm -rf "$app_adopted/tree" "$app_adopted/sites"
}

# adopted_user_back APP: its files keep their groups, as usermod -g changes them only in a home that is there.
adopted_user_back() {
    user=$1
    adopted_has 1 >"$app_adopted/.user"
    IFS=: read -r _ _ _ gid _ home shell <"$app_adopted/.user"
    rm -f "$app_adopted/.user"
    if ! getent passwd "$user" >/dev/null; then
        notice "$user: the user that was adopted is gone, and is not made again"
        return 0
    fi
    process_kill_all "$user"
    if [ "$(id -g "$user")" != "$gid" ]; then usermod -g "$gid" "$user"; fi
    if [ "$(getent passwd "$user" | cut -d: -f6-)" != "$home:$shell" ]; then usermod -d "$home" -s "$shell" "$user"; fi
    groups=$(sed -n 3p "$app_adopted/user")
    for group in $groups; do
        if getent group "$group" >/dev/null; then gpasswd -a "$user" "$group"; fi
    done
}

# adopted_group_back APP: a user that is removed takes its group along.
adopted_group_back() {
    if entry=$(adopted_has 2); then
        id=${entry#*:*:} id=${id%%:*}
        if ! getent group "$1" >/dev/null; then groupadd -g "$id" "$1"; fi
    elif getent group "$1" >/dev/null; then
        groupdel "$1"
    fi
}

# adopted_aside: what is moved aside, one path a line.
adopted_aside() {
    if [ ! -e "$app_adopted/paths" ]; then return 0; fi
    while read -r path; do
        if adopted_moved "$root$path"; then printf '%s\n' "$path"; fi
    done <"$app_adopted/paths"
}

# adopted_forget_folder PATH: it is not one that the toolkit made.
adopted_forget_folder() {
    if ! grep -qsxF -e "$1" "$provision_found/folders"; then return 0; fi
    grep -vxF -e "$1" "$provision_found/folders" >"$provision_found/.folders" || true
    mv -fT "$provision_found/.folders" "$provision_found/folders"
}

# adopted_things: what can be put back, one a line.
adopted_things() {
    if [ -e "$app_adopted/user" ]; then
        if adopted_has 1 >/dev/null; then echo "user:$1"; elif adopted_has 2 >/dev/null; then echo "group:$1"; fi
    fi
    adopted_aside
}
