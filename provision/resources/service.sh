# shellcheck shell=sh disable=SC2154
service_stamp() { stat -c '%n %i %s %.9Y' "$@" 2>/dev/null || true; }

# In: NUMBER UNIT STAMP "PATH PATH...". Out: active, enabled, reload (yes: the unit changed since it was
# loaded) and stamp (loaded, changed or none).
# One systemctl show for all; it answers in order, with a blank line between units.
service_probe() {
    items=$(cat)
    shown=$(printf '%s\n' "$items" | cut -f2 |
        xargs -r systemctl show -p ActiveState -p UnitFileState -p NeedDaemonReload | awk -F = -v OFS='\t' '
        function flush() { if (n) print "active=" value["ActiveState"], "enabled=" value["UnitFileState"], "reload=" value["NeedDaemonReload"]; n = 0; split("", value) }
        $0 == "" { flush(); next }
        { value[$1] = $2; n++ }
        END { flush() }')
    printf '%s\n' "$items" | while IFS='	' read -r number unit name paths; do
        stamp=none
        if [ -e "$provision_stamps/$name" ]; then
            stamp=changed
            # shellcheck disable=SC2086 # the paths are words
            if [ "$(service_stamp $paths)" = "$(cat "$provision_stamps/$name")" ]; then stamp=loaded; fi
        fi
        printf '%s\t%s\tstamp=%s\n' "$number" "${shown%%
*}" "$stamp"
        shown=${shown#*
}
    done
}

# service_accepting PID: the children of a main process that accept connections; nginx calls the others "shutting down".
service_accepting() {
    tr ' ' '\n' 2>/dev/null <"/proc/$1/task/$1/children" | while read -r child; do
        if [ -e "/proc/$child" ] && ! grep -qs 'shutting down' "/proc/$child/cmdline"; then echo "$child"; fi
    done
}

# service_reload UNIT: return once no old worker accepts connections. systemctl does not wait for that, and succeeds even if the main
# process cannot use the new configuration (nginx: a port in use).
service_reload() {
    log=/var/log/$1/error.log
    logged=$(stat -c %s "$log" 2>/dev/null || echo 0)
    main=$(systemctl show -p MainPID --value "$1")
    before=$(service_accepting "$main")
    systemctl reload "$1"
    tries=0
    while [ -n "$(printf '%s\n' "$before" "$(service_accepting "$main")" | sed '/^$/d' | sort | uniq -d)" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            tail -c "+$((logged + 1))" "$log" 2>/dev/null | grep -F '[emerg]' | tail -n 3
            fail "$1 goes on with the configuration that it has: 10 s after its reload its old processes still accept connections"
        fi
        sleep 0.1
    done
}

# service_remember UNIT: how it was before it is first enabled or started here, for the day when the toolkit leaves.
service_remember() {
    if [ ! -d "$provision_found" ] || grep -qs "^$1 " "$provision_found/units"; then return 0; fi
    was="$(systemctl is-enabled "$1" 2>/dev/null || true) $(systemctl is-active "$1" 2>/dev/null || true)"
    if [ "$was" != 'enabled active' ]; then printf '%s %s\n' "$1" "$was" >>"$provision_found/units"; fi
}

# service_ensure UNIT STAMP reload|restart CHECK PATH...: the stamp is taken before the files are loaded.
service_ensure() {
    unit=$1 name=$2 on_change=$3 check=$4
    shift 4
    if ! verdict=$(eval "$check" 2>&1); then
        printf '%s\n' "$verdict"
        fail "$unit goes on with the configuration that it has: $check refused the new one"
    fi
    stamp=$(service_stamp "$@")
    if [ "$(systemctl show -p NeedDaemonReload --value "$unit")" = yes ]; then systemctl daemon-reload; fi
    service_remember "$unit"
    systemctl enable --quiet "$unit"
    if systemctl is-active --quiet "$unit"; then
        if [ "$on_change" = reload ]; then service_reload "$unit"; else systemctl "$on_change" "$unit"; fi
    else
        systemctl start "$unit"
    fi
    if [ "$#" -gt 0 ]; then
        mkdir -p "$provision_stamps"
        printf '%s\n' "$stamp" | put "$provision_stamps/$name" root root 644
    fi
}

# service_note STAMP PATH...: what is about to be loaded, for a stamp of its own.
service_note() {
    note=$provision_stamps/$1.next
    shift
    mkdir -p "$provision_stamps"
    service_stamp "$@" | put "$note" root root 644
}

# service_noted STAMP: it was loaded.
service_noted() { mv -fT "$provision_stamps/$1.next" "$provision_stamps/$1"; }
