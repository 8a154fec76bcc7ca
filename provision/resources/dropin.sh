# shellcheck shell=sh disable=SC2154

# In and out: as file_probe; and unread=yes where the program was yet to read the file when a run was killed.
dropin_probe() {
    dropins=$(cat)
    printf '%s\n' "$dropins" | file_probe
    printf '%s\n' "$dropins" | while IFS='	' read -r number path _; do
        if [ -d "$provision_unread" ] && [ -e "$(dropin_mark "$path")" ]; then printf '%s\tunread=yes\n' "$number"; fi
    done
}

dropin_mark() { printf '%s%s' "$provision_unread/" "$(printf '%s' "$1" | tr / -)"; }

# dropin_begin PATH: its folder is there, and it is noted that the program is to read it.
dropin_begin() {
    found_folder "${1%/*}"
    (umask 022 && mkdir -p "${1%/*}" "$provision_unread")
    : >"$(dropin_mark "$1")"
}

# dropin_end PATH COMMAND: what was made for the file goes with it.
dropin_end() {
    if [ ! -e "$1" ] && grep -qsxF -e "${1%/*}" "$provision_found/folders"; then rmdir "${1%/*}" 2>/dev/null || true; fi
    eval "${2:-true}"
    rm -f "$(dropin_mark "$1")"
    rmdir "$provision_unread" 2>/dev/null || true
}

# In: NUMBER TIMER yes|no (whether it is wanted). Out: enabled, active; was (where it was enabled here). systemctl is asked only for one that is wanted.
dropin_timer_probe() {
    while IFS='	' read -r number name wanted; do
        enabled='' active=''
        if [ "$wanted" = yes ]; then
            shown=$(systemctl show -p ActiveState -p UnitFileState "$name" 2>/dev/null) || true
            enabled=${shown##*UnitFileState=} enabled=${enabled%%
*} active=${shown##*ActiveState=} active=${active%%
*}
        fi
        was=$(if [ -e "$provision_timers" ]; then sed -n "s/^$name //p" "$provision_timers"; fi)
        printf '%s\tenabled=%s\tactive=%s\twas=%s\n' "$number" "$enabled" "$active" "$was"
    done
}

# dropin_timer_on TIMER
dropin_timer_on() {
    if ! grep -qs "^$1 " "$provision_timers"; then
        printf '%s %s %s\n' "$1" "$(systemctl is-enabled "$1" 2>/dev/null || true)" "$(systemctl is-active "$1" 2>/dev/null || true)" >>"$provision_timers"
        sync "$provision_timers"
    fi
    systemctl enable --quiet --now "$1" || fail "$1 cannot be enabled: if it is masked, run systemctl unmask $1 on the server, then run again"
}

# dropin_timer_back TIMER...
dropin_timer_back() {
    for timer; do
        case $(sed -n "s/^$timer //p" "$provision_timers" 2>/dev/null) in disabled*) systemctl disable --quiet "$timer" || true ;; esac
        case $(sed -n "s/^$timer //p" "$provision_timers" 2>/dev/null) in *' inactive')
            systemctl stop "$timer" || true
            rm -f "$root/var/lib/systemd/timers/stamp-$timer"
            ;;
        esac
        if [ -e "$provision_timers" ]; then
            awk -v timer="$timer" '$1 != timer' "$provision_timers" | put "$provision_timers" root root 600
            if [ ! -s "$provision_timers" ]; then rm -f "$provision_timers"; fi
        fi
    done
}
