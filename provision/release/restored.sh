# shellcheck shell=sh disable=SC2154
# The toolkit leaves a server, part by part, when its apps have left: what it made goes, and what it replaced comes back. Each part can be
# found and restored again after a run that was killed; the record of what there was goes last.

# In: NUMBER PART FILE "APP APP..." yes|no (whether data goes, too); FILE is one of somebody else's sites in nginx, or -. Out: thing, in a record for each that the part has,
# with back=yes for what comes back, and with needed=yes for a package that another brought; stays (something of ours, and why it does).
restored_probe() {
    while IFS='	' read -r number part foreign apps data; do
        "restored_find_$part" "$foreign" "$apps" "$data" </dev/null | sed "s/^/$number	/"
    done
}

restored_things() { uninstall_there "$@" | sed 's/^/thing=/'; }

# restored_replaced SET: what was replaced, and is not as it was.
restored_replaced() {
    if [ ! -r "$provision_found/$1/paths" ]; then return 0; fi
    while read -r path; do
        kept=$provision_found/$1/tree$path
        if [ -L "$kept" ] && [ "$(readlink "$kept")" = "$(readlink "$path")" ]; then continue; fi
        if [ ! -L "$kept" ] && [ -f "$kept" ] && [ ! -L "$path" ] && cmp -s "$kept" "$path"; then continue; fi
        if [ -e "$kept" ] || [ -L "$kept" ] || [ -e "$path" ] || [ -L "$path" ]; then printf 'thing=%s\tback=yes\n' "$path"; fi
    done <"$provision_found/$1/paths"
}

restored_access_paths() {
    printf '%s\n' "$root/etc/ssh/sshd_config.d/10-provision.conf" "$root/etc/ssh/authorized_keys.provision" "$root/etc/provision/firewall.nft" \
        "$root/etc/systemd/system/provision-firewall.service" "$root/etc/systemd/system/multi-user.target.wants/provision-firewall.service" \
        "$root/etc/fail2ban/jail.d/provision.conf" "$root/etc/provision/egress" "$root/etc/systemd/system/provision-egress.service" \
        "$root/etc/systemd/system/multi-user.target.wants/provision-egress.service"
}

restored_find_access() { restored_access_paths | while read -r path; do restored_things "$path"; done; }

restored_access() {
    if [ -e "$root/etc/fail2ban/jail.d/provision.conf" ]; then
        rm -f "$root/etc/fail2ban/jail.d/provision.conf"
        if systemctl is-active --quiet fail2ban; then systemctl restart fail2ban; fi
    fi
    egress_remove_all "$root/etc/provision/egress" "$root/etc/systemd/system/provision-egress.service" \
        "$root/etc/systemd/system/multi-user.target.wants/provision-egress.service"
    if [ -e "$root/etc/provision/firewall.nft" ]; then
        packet_filter_remove "$root/etc/provision/firewall.nft" "$root/etc/systemd/system/provision-firewall.service" \
            "$root/etc/systemd/system/multi-user.target.wants/provision-firewall.service" "$provision_stamps/firewall"
    fi
    if [ -e "$root/etc/ssh/sshd_config.d/10-provision.conf" ]; then
        sshd_remove "$root/etc/ssh/sshd_config.d/10-provision.conf" "$root/etc/ssh/authorized_keys.provision"
    fi
}

restored_sandbox=$root/etc/systemd/system/nginx.service.d/provision.conf restored_preparation=$root/usr/local/lib/provision-nginx

restored_site_paths() {
    for path in "$nginx_folder/sites-enabled/000-default.conf" "$nginx_folder/sites-available/000-default.conf"; do
        if { [ -e "$path" ] || [ -L "$path" ]; } && [ "$(nginx_owner "$path")" = provision ]; then printf '%s\n' "$path"; fi
    done
    uninstall_there "$nginx_folder/provision/settings.conf"
}

restored_find_site() {
    restored_site_paths | sed 's/^/thing=/'
    uninstall_there "$nginx_folder/provision" "$provision_stamps/nginx" "$provision_stamps/nginx-certificates" "$provision_before/nginx" "$restored_sandbox" \
        "$restored_preparation" | sed 's/^/thing=/'
    restored_replaced nginx
}

# restored_site: others' sites go on; if nginx refuses its configuration without ours, all is as it was.
restored_site() {
    back=$(restored_replaced nginx | sed 's/^thing=//; s/	.*//')
    # shellcheck disable=SC2046,SC2086 # the paths are words
    set -- $(restored_site_paths) $back
    file_set_begin nginx "$@"
    for path; do rm -f "$path"; done
    for path in $back; do found_back nginx "$path"; done
    if command -v nginx >/dev/null; then check='nginx -t'; else check=true; fi
    file_set_check nginx "$check" ''
    rmdir "$nginx_folder/provision" 2>/dev/null || true
    if [ -e "$restored_sandbox" ]; then
        # Only a restart leaves a sandbox.
        if systemctl is-active --quiet nginx; then nginx_sandbox_leave "$restored_sandbox"; else nginx_sandbox_clear "$restored_sandbox"; fi
    elif systemctl is-active --quiet nginx; then
        service_reload nginx
    fi
    rm -f "$provision_stamps/nginx" "$provision_stamps/nginx-certificates" "$provision_stamps/nginx-sandbox" "$restored_preparation"
}

restored_hook=$certificate_certbot/renewal-hooks/deploy/nginx restored_authority=$root/etc/systemd/system/certbot.service.d/authority.conf

restored_certificate_paths() {
    if grep -qs 'Written by provision\.$' "$restored_hook"; then printf '%s\n' "$restored_hook"; fi
    printf '%s\n' "$restored_authority" "$root/etc/provision/acme-ca.pem" "$root/etc/provision/dns.ini" "$certificate_folder" "$certificate_certbot/put-aside" "$root/var/www/acme"
}

restored_find_certificate() { restored_certificate_paths | while read -r path; do restored_things "$path"; done; }

restored_certificate() {
    restored_certificate_paths | while read -r path; do uninstall_rm "$path"; done
    rmdir "$root/etc/provision" "${restored_authority%/*}" 2>/dev/null || true
    systemctl daemon-reload
}

restored_find_authority() { for path in "$trust_folder"/provision*.crt; do restored_things "$path"; done; }

restored_authority() { trust_only; }

# restored_users "APP APP...": the users of these apps.
restored_users() {
    for app in $1; do
        layout_app "$app"
        uninstall_users "$app"
    done
}

# restored_running "APP APP...": PROGRAM and PROCESS, of what runs and is neither an app's nor a service's that is looked at by itself. A
# program's path may hold anything, and comes last; one with another character than a file of a package has is not of interest.
restored_running() {
    users=" $(restored_users "$1" | tr '\n' ' ')"
    find /proc/[0-9]*/exe -maxdepth 0 -printf '%u %p %l\0' 2>/dev/null | tr '\n' '?' | tr '\0' '\n' | while read -r user process program; do
        process=${process#/proc/} process=${process%/exe}
        case $program in [!/]* | *[!A-Za-z0-9/._+@:-]*) continue ;; esac
        case $users in *" $user "*) continue ;; esac
        unit=$(sed -n 's|^0::.*/\([^/]*\)\.service$|\1|p' "/proc/$process/cgroup" 2>/dev/null)
        case " nginx cron certbot fail2ban unattended-upgrades $process_managers " in *" ${unit:-/} "*) continue ;; esac
        printf '%s %s\n' "$program" "$process"
    done
}

# restored_python_paths: with what a killed run left in /var/tmp. Anybody can put something of any name there, so only root's own counts.
restored_python_paths() {
    printf '%s\n' "$python_pyenv" "$root/opt/uv" "$root/opt/provision"
    find "$root/var/tmp" -maxdepth 1 -user "$(id -u)" -name 'provision-*.??????' ! -name '*[!A-Za-z0-9._-]*' 2>/dev/null | sort
}

# restored_foreign_python "APP APP...": why pyenv stays: something of somebody else's runs with one of its Pythons, or they built it.
restored_foreign_python() {
    restored_running "$1" | sed -n "s|^$python_pyenv/\(versions/[^/]*\)/.* |\1 is what process |p"
    for python in "$python_pyenv"/versions/*/bin/python; do
        if [ -x "$python" ] && [ ! -e "${python%/bin/python}/.provision" ]; then echo "this toolkit did not build ${python%/bin/python}"; fi
    done
}

restored_find_python() {
    if [ -e "$python_pyenv/.revision" ]; then
        why=$(restored_foreign_python "$2" | head -n 1)
        if [ -n "$why" ]; then printf 'stays=%s: %s\n' "$python_pyenv" "$why"; else restored_things "$python_pyenv"; fi
    fi
    restored_python_paths | sed 1d | while read -r path; do restored_things "$path"; done
}

# restored_python PATH...: those of the toolkit's own.
restored_python() {
    restored_python_paths | while read -r own; do
        for path; do if [ "$root$path" = "$own" ]; then uninstall_rm "$own"; fi; done
    done
}

restored_system_paths() {
    printf '%s\n' "$hardened_journal" "$hardened_dumps" "$hardened_manager" "$hardened_limits" "$hardened_modules" "$hardened_idle" "$hardened_passwords" "$hardened_greeting" "$hardened_updates" "$hardened_restarts" \
        "$root/etc/systemd/system/postgresql@.service.d/provision.conf"
}

restored_find_system() {
    restored_system_paths | while read -r path; do restored_things "$path"; done
    restored_things "$hardened_kernel" "$hardened_swap" "$hardened_integrity" "$hardened_integrity_unit" "$hardened_integrity_timer" "$hardened_integrity_state"
    if [ -e "$provision_kernel" ]; then printf 'thing=%s\tback=yes\n' /proc/sys; fi
    if [ -e "$provision_notice" ]; then printf 'thing=%s\tback=yes\n' /etc/issue /etc/issue.net; fi
    if [ -e "$provision_timers" ]; then sed 's/^\([^ ]*\) .*/thing=\1	back=yes/' "$provision_timers"; fi
}

# restored_system: the kernel's values, the timers, swap and the drop-ins of `hardening`.
restored_system() {
    rm -f "$hardened_kernel"
    # shellcheck disable=SC2046 # the names are words
    if [ -e "$provision_kernel" ]; then kernel_back $(cut -d ' ' -f 1 "$provision_kernel"); fi
    if [ -e "$provision_notice" ]; then notice_back "$root/etc/issue" "$root/etc/issue.net"; fi
    # shellcheck disable=SC2046
    if [ -e "$provision_timers" ]; then dropin_timer_back $(cut -d ' ' -f 1 "$provision_timers"); fi
    integrity_remove "${hardened_integrity_state#"$root"}" "${hardened_integrity_timer##*/}" "${hardened_integrity#"$root"}" \
        "${hardened_integrity_unit#"$root"}" "${hardened_integrity_timer#"$root"}"
    if swap_is_there "${hardened_swap#"$root"}"; then swap_remove "${hardened_swap#"$root"}"; fi
    restored_system_paths | while read -r path; do
        if [ -e "$path" ]; then
            rm -f "$path"
            dropin_end "$path" ''
        fi
    done
    systemctl daemon-reload
    systemctl try-restart systemd-journald
}

restored_find_settings() { restored_replaced settings; }

restored_settings() {
    locales=
    for path in $(restored_replaced settings | sed 's/^thing=//; s/	.*//'); do
        case $path in */locale.gen) locales=yes ;; esac
        found_back settings "$path"
    done
    if [ -n "$locales" ] && command -v locale-gen >/dev/null; then locale-gen; fi
}

# restored_serves FILE "APP APP...": PACKAGE and WHY, for each that serves somebody else.
restored_serves() {
    if [ "$1" != - ]; then echo "nginx it serves $1"; fi
    ours=" $(for app in $2; do uninstall_lineages "$app"; done | tr '\n' ' ')"
    for conf in "$certificate_certbot"/renewal/*.conf; do
        name=${conf##*/} name=${name%.conf}
        case $ours in *" $name "*) ;; *) if [ -e "$conf" ]; then echo "certbot it renews $name"; fi ;; esac
    done
    for each in $process_managers; do "${each}_serves" "$(restored_users "$2" | tr '\n' ' ')"; done
    restored_running "$2" | sort -u -k 1,1 | while read -r program process; do
        package=$(dpkg -S "$program" 2>/dev/null) && echo "${package%%:*} process $process runs $program"
    done
}

# restored_came: NAME asked|needed new|rest, of the packages that came with the toolkit and are still there.
restored_came() {
    if [ ! -r "$provision_found/packages" ]; then return 0; fi
    package_states | awk 'NR == FNR { there[$2] = $1; next } ($1 in there) && !($3 == "rest" && there[$1] == "c")' - "$provision_found/packages"
}

# restored_refused NAME...: NAME and WHY, for each package that cannot go because another that stays needs it.
restored_refused() {
    dpkg --no-act --abort-after=10000 --purge "$@" 2>&1 | awk '
        /^dpkg: dependency problems prevent removal of / { name = $NF; sub(/:$/, "", name); getline; print name, $1 " needs it"; said[name] = 1; next }
        /^dpkg: error processing package / && !($5 in said) { getline why; sub(/^ +/, "", why); print $5, why; said[$5] = 1 }'
}

# restored_packages_found FILE "APP APP...": a line for each package that came with the toolkit: goes NAME asked|needed new|rest, or stays
# NAME WHY.
restored_packages_found() {
    came=$(restored_came)
    if [ -z "$came" ]; then return 0; fi
    going=$({
        restored_serves "$1" "$2" | sed 's/^/serves /'
        # apt takes its marks off packages when it begins to remove them.
        if [ ! -e "$provision_found/leaving" ]; then apt-mark showmanual | sed 's/^/manual /'; fi
        printf '%s\n' "$came" | sed 's/^/came /'
    } | awk '
        { name = $2; sub(/:.*/, "", name) }
        $1 == "serves" { sub(/^serves [^ ]* /, ""); if (!(name in why)) why[name] = $0; next }
        $1 == "manual" { manual[name] = 1; next }
        name in why { print "stays", $2, why[name]; next }
        $3 == "needed" && name in manual { print "stays", $2, "somebody asked apt for it since"; next }
        { sub(/^came /, "goes "); print }')
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        names=$(printf '%s\n' "$going" | sed -n 's/^goes \([^ ]*\) .*/\1/p')
        if [ -z "$names" ]; then break; fi
        # shellcheck disable=SC2086 # the names are words
        refused=$(restored_refused $names)
        if [ -z "$refused" ]; then break; fi
        going=$(printf '%s\n---\n%s\n' "$refused" "$going" | awk '
            $1 == "---" { past = 1; next }
            !past { name = $1; sub(/^[^ ]* /, ""); why[name] = $0; next }
            { name = $2; sub(/:.*/, "", name); key = ($2 in why) ? $2 : name }
            $1 == "goes" && key in why { if ($3 == "asked") print "stays", $2, why[key]; else print "left", $2, why[key]; next }
            { print }')
    done
    printf '%s\n' "$going"
}

restored_find_packages() {
    told=$(restored_packages_found "$1" "$2")
    printf '%s\n' "$told" | while read -r what name rest; do
        case $what,$rest in
        goes,asked*) printf 'thing=%s\n' "$name" ;;
        goes,*) printf 'thing=%s\tneeded=yes\n' "$name" ;;
        stays,*) printf 'stays=%s: %s\n' "$name" "$rest" ;;
        esac
    done
    restored_principals "$(printf '%s\n' "$told" | sed -n 's/^goes \([^ ]*\) .*/\1/p' | tr '\n' ' ')" | sed 's/^/thing=/'
    if [ -e "$provision_state" ] && [ ! -d "$provision_found" ]; then
        printf 'stays=%s\n' 'packages and settings: the first deploy to this server made no record of what it had before'
    fi
}

# restored_packages NAME...: with their configuration, except for a package whose configuration was there before it came. A user or a
# group is KIND:NAME.
restored_packages() {
    # They are back, and some of them go now with their packages.
    rm -rf "$provision_found/settings" "$provision_found/nginx"
    if [ -d "$provision_found" ]; then : >"$provision_found/leaving"; fi
    came=$(restored_came) purged='' removed='' principals=''
    for name; do
        case $name in user:* | group:*) principals="$principals $name" && continue ;; esac
        case $(printf '%s\n' "$came" | sed -n "s/^$(printf '%s' "$name" | sed 's/[.+]/[&]/g') [a-z]* //p") in
        new) purged="$purged $name" ;;
        rest) removed="$removed $name" ;;
        esac
    done
    # shellcheck disable=SC2086 # the names are words
    if [ -n "$purged$removed" ] && [ -n "$(restored_refused $purged $removed)" ]; then
        fail "another package needs one of those that came with this toolkit since the plan was made: run again"
    fi
    # shellcheck disable=SC2086
    if [ -n "$purged" ]; then restored_leavings $purged; fi
    # shellcheck disable=SC2086
    if [ -n "$purged" ]; then package_apt --no-auto-remove purge -- $purged; fi
    # Of one that a killed dpkg left half-installed, apt-get leaves the configuration at first.
    left=$(package_states | awk -v purged=" $purged " '$1 == "c" && index(purged, " " $2 " ") { print $2 }')
    # shellcheck disable=SC2086
    if [ -n "$left" ]; then package_apt --no-auto-remove purge -- $left; fi
    # shellcheck disable=SC2086
    if [ -n "$removed" ]; then package_apt --no-auto-remove remove -- $removed; fi
    for name in $principals; do
        if ! restored_known "${name%%:*}" "${name#*:}" || ! grep -qsF "${name%%:*} ${name#*:} " "$provision_found/principals"; then continue; fi
        case $name in user:*) userdel "${name#*:}" ;; *) groupdel "${name#*:}" ;; esac
    done
}

# restored_leavings NAME...: what a purge of these packages would leave: nginx's page, unattended-upgrades' program, and systemd's notes
# of when timers ran.
restored_leavings() {
    page=$root/var/www/html/index.nginx-debian.html
    case " $* " in *' nginx-common '*) if cmp -s "$root/usr/share/nginx/html/index.html" "$page"; then rm -f "$page"; fi ;; esac
    case " $* " in *' unattended-upgrades '*)
        systemctl stop unattended-upgrades || true
        rm -f "$root/run/unattended-upgrades.lock"
        ;;
    esac
    for timer in $(dpkg -L "$@" 2>/dev/null | sed -n 's|.*/systemd/system/\([^/]*\.timer\)$|\1|p'); do
        systemctl stop "$timer" || true
        rm -f "$root/var/lib/systemd/timers/stamp-$timer"
    done
}

restored_known() { getent "$(case $1 in user) echo passwd ;; *) echo group ;; esac)" "$2" >/dev/null; }

# restored_principals "NAME NAME...": KIND:NAME, for each user and group that came with one of these packages, or with one that has gone.
restored_principals() {
    if [ ! -r "$provision_found/principals" ]; then return 0; fi
    there=$(package_states | sed -n 's/^i //p')
    while read -r kind name package; do
        if ! restored_known "$kind" "$name"; then continue; fi
        case " $1 " in *" $package "*) echo "$kind:$name" ;; *) if ! printf '%s\n' "$there" | grep -qxF "$package"; then echo "$kind:$name"; fi ;; esac
    done <"$provision_found/principals"
}

# restored_find_units FILE: those that were not enabled or did not run before, and that stay.
restored_find_units() {
    if [ ! -r "$provision_found/units" ]; then return 0; fi
    while read -r unit enabled active; do
        case $unit in *.*) name=$unit ;; *) name=$unit.service ;; esac
        package=$(dpkg -S "*/systemd/system/$name" 2>/dev/null) || package=
        if [ -z "$package" ] || grep -qs "^${package%%:*}[: ]" "$provision_found/packages"; then continue; fi
        if [ "$unit" = nginx ] && [ "$1" != - ]; then continue; fi
        if { [ "$enabled" = disabled ] && systemctl -q is-enabled "$unit"; } || { [ "$active" = inactive ] && systemctl -q is-active "$unit"; }; then
            printf 'thing=%s\tback=yes\n' "$unit"
        fi
    done <"$provision_found/units"
}

# restored_units UNIT...
restored_units() {
    for unit; do
        case $(grep "^$unit " "$provision_found/units") in *' disabled '*) systemctl disable --quiet "$unit" ;; esac
        case $(grep "^$unit " "$provision_found/units") in *' inactive') systemctl stop "$unit" ;; esac
    done
}

restored_record_paths() { printf '%s\n' "$provision_undo_at_boot" "$provision_undo_unit" "$provision_cache" "$provision_state.new" "$provision_state.old" "$provision_state"; }

# restored_find_record FILE "APP APP..." yes|no: as long as data keeps what its app adopted, that is not forgotten.
restored_find_record() {
    for app in $2; do
        layout_app "$app"
        if uninstall_holds "$app" "$3"; then
            printf 'stays=%s: %s keeps what the app adopted; --with-data puts that back\n' "$provision_state" "$app_shared" && return 0
        fi
    done
    restored_record_paths | while read -r path; do restored_things "$path"; done
}

# restored_record: folders go if they are empty. With a new name, what a killed run leaves of the record is none.
restored_record() {
    if [ -r "$provision_found/folders" ]; then
        sort -r "$provision_found/folders" | while read -r path; do rmdir "$path" 2>/dev/null || true; done
    fi
    rm -f "$provision_undo_at_boot" "$provision_undo_unit"
    systemctl stop provision.slice 2>/dev/null || true
    uninstall_rm "$provision_cache" "$provision_state.new" "$provision_state.old"
    if [ -e "$provision_state" ]; then mv -T "$provision_state" "$provision_state.old"; fi
    uninstall_rm "$provision_state.old"
}
