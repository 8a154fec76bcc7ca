# shellcheck shell=sh disable=SC2034,SC2154
# An app leaves a server, part by part: its site first, so that nginx asks it nothing more, then what runs, and only then what that ran
# with. Each part can be found and removed again after a run that was killed; the record, which says that all of it is ours, goes last.

# uninstall_is_user USER HOME: whether the user is one that we made: of the system, with this home and no way to log in.
uninstall_is_user() {
    entry=$(getent passwd "$1") || return 1
    case $entry in "$1":*:*:*:*:"$2:/usr/sbin/nologin") [ "$(id -u "$1")" -lt 1000 ] ;; *) return 1 ;; esac
}

# uninstall_users APP: those of its users that we made, or that it adopted, one a line. Reads what layout_app sets.
uninstall_users() {
    if uninstall_is_user "$1" "${app_shared#"$root"}" || uninstall_adopted_user "$1"; then echo "$1"; fi
    if uninstall_is_user "$1-build" /nonexistent; then echo "$1-build"; fi
}

uninstall_adopted_user() { adopted_has 1 >/dev/null && [ "$(getent passwd "$1" | cut -d: -f6)" = "${app_shared#"$root"}" ]; }

# uninstall_keeps yes|no: whether the app's data stays, and so its owner: data that is not to go.
uninstall_keeps() { [ "$1" = no ] && [ -n "$(uninstall_kept)" ]; }

# uninstall_kept: where its data is, in words.
uninstall_kept() {
    {
        if [ -n "$(ls -A "$app_shared" 2>/dev/null)" ]; then printf '%s' "${app_shared#"$root"}"; fi
        uninstall_beside | sed "s|^$root| and |" | tr -d '\n'
        if postgresql_ours "${app_home##*/}"; then printf ' and the PostgreSQL database %s' "${app_home##*/}"; fi
        if [ -n "$(redis_kept "${app_home##*/}")" ]; then printf ' and %s' "$(redis_kept "${app_home##*/}")"; fi
    } | sed 's/^ and //'
}

# uninstall_beside: what restores have left beside the shared folder, one path a line.
uninstall_beside() {
    for path in "$app_home"/shared.restored "$app_home"/shared.restored-[a-z]* "$app_home"/shared.before-[0-9]*Z; do
        if [ -d "$path" ] && [ ! -L "$path" ]; then printf '%s\n' "$path"; fi
    done
}

# uninstall_there PATH...: those that there are, one a line.
uninstall_there() { for path; do if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "${path#"$root"}"; fi; done; }

# uninstall_rm PATH...: with all that is in them, except what is mounted there. Who owned it runs nothing any more.
uninstall_rm() {
    for path; do rm -rf --one-file-system -- "$path" || fail "$path cannot be removed: its reason stands above (something that is mounted there is kept)"; done
}

# In: NUMBER APP PART yes|no (whether its data goes, too) HEIR|-. Out: thing, in a record for each that this part has, kept (data that
# stays) and holds=yes (with it, what was adopted). With the record: owner. With what was adopted: blocked (what is in its place). Without a
# record of the app, or its user, nothing is its but what it adopted.
uninstall_probe() {
    while IFS='	' read -r number app part data heir; do
        if [ "$heir" != - ]; then
            layout_app "$heir"
            if [ "$(cat "$app_takes_over" 2>/dev/null)" = "$app" ]; then printf '%s\their=yes\n' "$number"; fi
        fi
        layout_app "$app"
        if ! uninstall_may "$app" "$part"; then continue; fi
        "uninstall_find_$part" "$app" "$data" </dev/null | sed "s/^/$number	thing=/"
        if [ "$part" = adopted ] && [ "$heir" != - ]; then uninstall_sites | sed "s/^/$number	thing=passed:/"; fi
        if [ "$part" = record ] && [ -r "$app_owner" ]; then printf '%s\towner=%s\n' "$number" "$(head -n 1 "$app_owner")"; fi
        if uninstall_keeps "$data"; then printf '%s\tkept=%s\n' "$number" "$(uninstall_kept)"; fi
        if uninstall_holds "$app" "$data"; then printf '%s\tholds=yes\n' "$number"; fi
        if [ "$part" = adopted ] && adopted_moved "$app_home" && [ -n "$(uninstall_strange "$app")" ]; then
            printf '%s\tblocked=%s\n' "$number" "$(uninstall_strange "$app")"
        fi
    done
}

# uninstall_may APP PART: whether what is there of the part is the app's.
uninstall_may() {
    if [ -d "$app_state" ] || uninstall_is_user "$1" "${app_shared#"$root"}"; then return 0; fi
    case $2 in adopted | site) [ -d "$app_adopted" ] ;; *) return 1 ;; esac
}

# uninstall_holds APP yes|no: whether data stays, and so all that the app adopted.
uninstall_holds() { uninstall_keeps "$2" && [ -n "$(adopted_things "$1")" ]; }

uninstall_find_site() {
    uninstall_sites | sed 's/^/back:/'
    site=$root/etc/nginx/sites-available/$1.conf link=$root/etc/nginx/sites-enabled/zz-$1.conf
    if [ "$(readlink "$link")" = "../sites-available/$1.conf" ]; then
        # A site of a project's own template says nothing, but only ours have such a link.
        uninstall_there "$link"
    elif [ -e "$site" ] && ! sed -n 1p "$site" | grep -q "^# $1: .*\. Written by provision\.$"; then
        return 0
    fi
    uninstall_there "$site"
    uninstall_there "$app_answers"
}

# uninstall_sites: the sites that were adopted and are not there, one a line.
uninstall_sites() {
    if [ ! -e "$app_adopted/sites" ]; then return 0; fi
    while read -r path; do
        if [ ! -e "$root$path" ] && [ ! -L "$root$path" ]; then printf '%s\n' "$path"; fi
    done <"$app_adopted/sites"
}

# uninstall_site APP: nginx goes on with all other sites; what stamps say of it is then true again.
uninstall_site() {
    site=$root/etc/nginx/sites-available/$1.conf link=$root/etc/nginx/sites-enabled/zz-$1.conf target=$(readlink "$root/etc/nginx/sites-enabled/zz-$1.conf" || true)
    rm -f "$link"
    back=$(uninstall_sites)
    for path in $back; do cp -aT "$app_adopted/tree$path" "$root$path"; done
    if systemctl is-active --quiet nginx; then
        if ! verdict=$(nginx -t 2>&1); then
            if [ -n "$target" ]; then point "$link" "$target"; fi
            for path in $back; do rm -f "$root$path"; done
            printf '%s\n' "$verdict"
            fail "nginx goes on with the configuration that it has: nginx -t refused the one without $1; put that right, then run again"
        fi
        for stamp in nginx nginx-certificates; do uninstall_stamp "$1" "$provision_stamps/$stamp"; done
        service_reload nginx
        for stamp in nginx nginx-certificates; do
            if [ -e "$provision_stamps/$stamp.without" ]; then mv -f "$provision_stamps/$stamp.without" "$provision_stamps/$stamp"; fi
        done
    fi
    rm -f "$site"
    rm -rf "$app_answers" "$app_adopted/tree" "$app_adopted/sites"
    rmdir "$app_adopted" "${app_adopted%/*}" 2>/dev/null || true
}

# uninstall_stamp APP STAMP: beside it, the stamp of what nginx is about to load, without the app's files.
uninstall_stamp() {
    if [ ! -e "$2" ]; then return 0; fi
    set -- "$1" "$2" "$(sed 's/ [0-9]* [0-9]* [0-9.]*$//' "$2" | grep -vxF -e "$site" -e "$link" -e "$certificate_folder/$1")"
    # shellcheck disable=SC2086 # the paths are words
    service_stamp $3 | put "$2.without" root root 644
}

uninstall_find_runs() {
    managed_facts | sed -n "s|^managed	app=$1	path=||p"
    if redis_is_there "$1"; then echo "redis:$1"; fi
    if [ -e "$root/var/spool/cron/crontabs/$1" ]; then echo "crontab:$1"; fi
    for user in $(uninstall_users "$1"); do
        if stat -c %U /proc/[0-9]* 2>/dev/null | grep -qxF "$user"; then echo "processes:$user"; fi
    done
}

# uninstall_runs APP: its slots have the time that they always have to end what they do; then nothing of its users goes on.
uninstall_runs() {
    app=$1
    for slot in blue green; do
        for each in $process_managers; do "${each}_slot_at_boot" "$app" "$slot" no; done
    done
    process_stop_all "$app"
    for slot in blue green; do slot_stop "$app" "$slot"; done
    managed_facts | sed -n "s|^managed	app=$app	path=||p" | while read -r path; do
        for each in $process_managers; do "${each}_uninstall" "$root$path"; done
    done
    for unit in $(command_units "$app"); do systemctl stop "$unit" || true; done
    if redis_is_there "$app"; then redis_remove "$app"; fi
    for user in $(uninstall_users "$app"); do
        rm -f "$root/var/spool/cron/crontabs/$user"
        loginctl disable-linger "$user" 2>/dev/null || true
        loginctl terminate-user "$user" 2>/dev/null || true
        process_kill_all "$user"
    done
    systemctl daemon-reload
}

# uninstall_lineages APP: certbot's lineages that are the app's by their names, and that nobody else reads.
uninstall_lineages() {
    for name in $(certificate_lineages "$1"); do
        others=$(find "$certificate_folder" -maxdepth 1 -type l ! -name "$1" -lname "*/live/$name" 2>/dev/null)
        if [ -z "$others" ] && ! grep -rqsF "/live/$name/" "$root/etc/nginx"; then echo "$name"; fi
    done
}

uninstall_certificate_paths() {
    if [ -L "$certificate_folder/$1" ]; then printf '%s\n' "$certificate_folder/$1"; fi
    printf '%s\n' "$certificate_folder/placeholder/$1" "$certificate_folder/files/$1" "$certificate_folder/files/$1@"* \
        "$certificate_folder/before/$1" "$certificate_folder/before/$1.was" "$certificate_folder/before/$1.next" "$provision_certificates/$1"
}

uninstall_find_certificate() {
    uninstall_certificate_paths "$1" | while read -r path; do uninstall_there "$path"; done
    for name in $(uninstall_lineages "$1"); do echo "certbot:$name"; done
}

# uninstall_certificate APP
uninstall_certificate() {
    lineages=$(uninstall_lineages "$1")
    uninstall_certificate_paths "$1" | while read -r path; do uninstall_rm "$path"; done
    for name in $lineages; do
        if command -v certbot >/dev/null; then certbot delete --non-interactive --cert-name "$name" || true; fi
        uninstall_rm "$certificate_certbot/renewal/$name.conf" "$certificate_certbot/live/$name" "$certificate_certbot/archive/$name"
    done
}

# uninstall_own APP: what it has besides its data, its users and its record; in its home, only what we put there.
uninstall_own() {
    for each in $process_managers; do "${each}_places" "$1"; done
    printf '%s\n' "$app_tmpfiles" "$app_sockets" "$app_uv_cache" "$app_npm_cache" "$app_current" "$app_preview" "$app_static" \
        "$app_build" "$app_builds" "$app_venvs" "$app_releases" "$app_repository" "$app_configuration" \
        "$root/etc/provision/egress/$1.nft" "$provision_stamps/$(uninstall_table "$1")"
    if uninstall_last_rules "$1"; then
        printf '%s\n' "$root/etc/provision/egress" "$root/etc/systemd/system/provision-egress.service" \
            "$root/etc/systemd/system/multi-user.target.wants/provision-egress.service"
    fi
}

# uninstall_last_rules APP: whether no other app has rules of where it may connect to; the unit that loads them goes with the last.
uninstall_last_rules() {
    for rules in "$root"/etc/provision/egress/*.nft; do
        if [ -e "$rules" ] && [ "$rules" != "$root/etc/provision/egress/$1.nft" ]; then return 1; fi
    done
}

# uninstall_table APP: that of nftables which says where it may connect to.
uninstall_table() { printf 'provision_app_%s' "$(printf '%s' "$1" | tr - _)"; }

uninstall_find_files() { uninstall_own "$1" | while read -r path; do uninstall_there "$path"; done; }

# uninstall_files APP
uninstall_files() {
    if command -v nft >/dev/null; then nft delete table inet "$(uninstall_table "$1")" 2>/dev/null || true; fi
    unit=$root/etc/systemd/system/provision-egress.service
    if [ ! -e "$unit" ] || ! uninstall_last_rules "$1"; then unit=; else systemctl stop provision-egress.service 2>/dev/null || true; fi
    uninstall_own "$1" | while read -r path; do uninstall_rm "$path"; done
    if [ -n "$unit" ]; then
        rmdir "$root/etc/provision" 2>/dev/null || true
        systemctl daemon-reload
    fi
}

# uninstall_strange APP: what somebody else put into the app's home, on one line.
uninstall_strange() {
    own=$({ uninstall_own "$1" && uninstall_beside; } | sed -n "s|^$app_home/||p" | tr '\n' ' ')
    for path in "$app_home"/* "$app_home"/.[!.]*; do
        name=${path##*/}
        if [ ! -e "$path" ] && [ ! -L "$path" ]; then continue; fi
        case $name in .provision* | *.provision-*) continue ;; esac
        case " $own ${app_shared##*/} " in *" $name "*) ;; *) printf '%s ' "$name" ;; esac
    done
}

uninstall_find_data() {
    if uninstall_keeps "$2"; then return 0; fi
    uninstall_there "$app_shared"
    uninstall_beside | sed "s|^$root||"
    if postgresql_ours "$1"; then echo "database:$1"; fi
    redis_kept "$1"
    if [ -z "$(uninstall_strange "$1")" ]; then uninstall_there "$app_home"; fi
}

# uninstall_data APP yes|no: where data is not to go, only the folder for it, which is empty.
uninstall_data() {
    if [ "$2" = yes ]; then
        uninstall_rm "$app_shared"
        uninstall_beside | while read -r path; do uninstall_rm "$path"; done
        if postgresql_ours "$1"; then postgresql_remove "$1"; fi
        redis_drop "$1"
    elif [ -d "$app_shared" ]; then
        rmdir "$app_shared" || fail "$1: its data appeared in $app_shared meanwhile: run again"
    fi
    strange=$(uninstall_strange "$1")
    if [ -n "$strange" ]; then
        notice "$1: $app_home stays, with what somebody else put there: $strange"
    else
        uninstall_rm "$app_home"
    fi
}

uninstall_find_users() {
    for user in "$1" "$1-build"; do
        if [ "$user" = "$1" ] && { uninstall_keeps "$2" || adopted_has 1 >/dev/null; }; then continue; fi
        if uninstall_users "$1" | grep -qxF "$user"; then
            echo "user:$user"
        elif ! getent passwd "$user" >/dev/null && getent group "$user" >/dev/null; then
            echo "group:$user"
        fi
    done
}

# uninstall_remove_users APP yes|no: userdel takes the group along, unless that has other members.
uninstall_remove_users() {
    if uninstall_holds "$1" "$2"; then
        notice "$1: $app_shared stays, and so does what the app adopted: --with-data $1 removes the one and puts back the other"
    elif uninstall_keeps "$2"; then
        notice "$1: $(uninstall_kept) stays, and its owner, the user $1: --with-data $1 removes both"
    fi
    for each in $(uninstall_find_users "$1" "$2"); do
        case $each in user:*) userdel "${each#*:}" ;; esac
        if getent group "${each#*:}" >/dev/null; then groupdel "${each#*:}"; fi
    done
}

uninstall_find_record() { if ! uninstall_holds "$1" "$2"; then uninstall_there "$app_state"; fi; }

# uninstall_record APP
uninstall_record() { uninstall_rm "$app_state"; }

# uninstall_find_adopted APP yes|no: what can be put back; the record of it alone, if a run was killed before there was anything.
uninstall_find_adopted() {
    if uninstall_keeps "$2"; then return 0; fi
    if [ -n "$(adopted_things "$1")" ]; then adopted_things "$1"; elif [ -z "$(uninstall_sites)" ]; then uninstall_there "$app_adopted"; fi
}

# uninstall_inherited APP HEIR: the heir has all, unless what the app adopted is still to be put back.
uninstall_inherited() {
    layout_app "$1"
    if [ -d "$app_adopted" ]; then return 0; fi
    layout_app "$2"
    rm -f "$app_takes_over"
}

# uninstall_adopted APP
uninstall_adopted() { if [ -d "$app_adopted" ]; then adopted_back "$1"; fi; }
