# shellcheck shell=sh
stamps=/var/lib/provision/stamps

stamp_of() { stat -c '%n %i %s %.9Y' "$@" 2>/dev/null || true; }

# In: NUMBER UNIT STAMP "PATH PATH...". Out: NUMBER ACTIVE ENABLED NEEDS_DAEMON_RELOAD loaded|changed|none.
# One systemctl show for all; it answers in the order asked, a blank line between two units.
probe_services() {
    items=$(cat)
    shown=$(printf '%s\n' "$items" | cut -f2 |
        xargs -r systemctl show -p ActiveState -p UnitFileState -p NeedDaemonReload | awk -F = -v OFS='\t' '
        function flush() { if (n) print value["ActiveState"], value["UnitFileState"], value["NeedDaemonReload"]; n = 0; split("", value) }
        $0 == "" { flush(); next }
        { value[$1] = $2; n++ }
        END { flush() }')
    printf '%s\n' "$items" | while IFS='	' read -r number unit name paths; do
        stamp=none
        if [ -e "$stamps/$name" ]; then
            stamp=changed
            # shellcheck disable=SC2086 # the paths are words
            if [ "$(stamp_of $paths)" = "$(cat "$stamps/$name")" ]; then stamp=loaded; fi
        fi
        printf '%s\t%s\t%s\n' "$number" "${shown%%
*}" "$stamp"
        shown=${shown#*
}
    done
}

# bring_up UNIT STAMP reload|restart CHECK PATH...: the stamp is of the files as they were before they were loaded.
bring_up() {
    unit=$1 name=$2 on_change=$3 check=$4
    shift 4
    if ! verdict=$(eval "$check" 2>&1); then
        printf '%s\n' "$verdict"
        fail "$unit goes on with the configuration that it has: $check refused the new one"
    fi
    stamp=$(stamp_of "$@")
    if [ "$(systemctl show -p NeedDaemonReload --value "$unit")" = yes ]; then systemctl daemon-reload; fi
    systemctl enable --quiet "$unit"
    if systemctl is-active --quiet "$unit"; then
        systemctl "$on_change" "$unit"
    else
        systemctl start "$unit"
    fi
    if [ "$#" -gt 0 ]; then
        mkdir -p "$stamps"
        printf '%s\n' "$stamp" | put "$stamps/$name" root root 644
    fi
}
