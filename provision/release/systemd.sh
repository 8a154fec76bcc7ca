# shellcheck shell=sh disable=SC2154
# How systemd runs an app: its slots as APP@SLOT.socket and .service, its other processes as APP-NAME.service.
# Reads systemd_units and provision_stamps (layout), and what layout_app and layout_slot set.

# systemd_slot_probe APP SLOT: its fields of a record: active, enabled, reload. Without its socket, a slot is not active.
systemd_slot_probe() {
    systemctl show -p Id -p ActiveState -p UnitFileState -p NeedDaemonReload "$1@$2.service" "$1@$2.socket" | awk -F= '
        $1 == "Id" { socket = $2 ~ /\.socket$/ }
        $1 == "ActiveState" && socket { listens = $2 }
        $1 == "ActiveState" && !socket { active = $2 }
        $1 == "UnitFileState" && socket { enabled = $2 }
        $1 == "NeedDaemonReload" && $2 == "yes" { reload = "yes" }
        END { printf "active=%s\tenabled=%s\treload=%s\t", (listens == "active" ? active : "without its socket"), enabled, (reload ? reload : "no") }'
}

# systemd_slot_state APP SLOT
systemd_slot_state() { systemctl is-active "$1@$2.service" || true; }

# systemd_slot_differs APP SLOT: whether systemd reads other units than the slot's.
systemd_slot_differs() {
    layout_slot "$1" "$2"
    for unit in "$slot_units/"*; do
        if ! cmp -s "$unit" "$systemd_units/$(systemd_unit_of "$2" "${unit##*/}")"; then return 0; fi
    done
    return 1
}

# systemd_unit_of SLOT UNIT: what a unit among a slot's copies is called by systemd: APP@SLOT.socket for APP@.socket.
systemd_unit_of() { case $2 in *@.*) echo "${2%@*}@$1.${2##*.}" ;; *) echo "$2" ;; esac; }

# systemd_slot_forget APP SLOT: remove the slot's own units, until they are written again.
systemd_slot_forget() { rm -f "$systemd_units/$1@$2.service" "$systemd_units/$1@$2.socket"; }

# systemd_slot_write APP SLOT
systemd_slot_write() {
    layout_slot "$1" "$2"
    for kind in service socket; do put "$systemd_units/$1@$2.$kind" root root 644 <"$slot_units/$1@.$kind"; done
    systemctl daemon-reload
}

# systemd_slot_start APP SLOT: returns once the app is ready.
systemd_slot_start() {
    systemctl reset-failed "$1@$2.service" "$1@$2.socket" 2>/dev/null || true
    if systemctl show -p NeedDaemonReload --value "$1@$2.service" "$1@$2.socket" | grep -q yes; then systemctl daemon-reload; fi
    systemctl start "$1@$2.socket" && systemctl start "$1@$2.service"
}

# systemd_slot_wait APP SLOT: its service starts only after a unit that ends with systemd_slot_open. Nothing of that unit is the app's.
systemd_slot_wait() {
    gate=$provision_runtime/waits.$1
    : >"$gate"
    systemctl reset-failed "provision-waits-$1.service" 2>/dev/null || true
    systemd-run --quiet --no-block --collect --unit="provision-waits-$1" -p Type=oneshot \
        /bin/sh -c "while [ -e '$gate' ]; do sleep 0.05; done"
    mkdir -p "/run/systemd/system/$1@$2.service.d"
    printf '[Unit]\nAfter=%s\n' "provision-waits-$1.service" >"/run/systemd/system/$1@$2.service.d/waits.conf"
    systemctl daemon-reload
    systemctl start "$1@$2.socket"
}

# systemd_slot_open APP: the service of a slot starts, if requests wait for it.
systemd_slot_open() {
    rm -f "$provision_runtime/waits.$1"
    systemctl stop "provision-waits-$1.service" 2>/dev/null || true
    for slot in blue green; do
        drop_in=/run/systemd/system/$1@$slot.service.d
        if [ ! -e "$drop_in/waits.conf" ]; then continue; fi
        rm -f "$drop_in/waits.conf"
        rmdir "$drop_in" 2>/dev/null || true
        systemctl daemon-reload
    done
}

# systemd_slot_stop APP SLOT: its service cannot put off its end with EXTEND_TIMEOUT_USEC (sd_notify(3)): ten seconds after its own
# limit all of its processes are killed.
systemd_slot_stop() {
    limit=$(sed -n 's/^TimeoutStopSec=//p' "$systemd_units/$1@$2.service" 2>/dev/null || true)
    timeout "$((${limit:-90} + 10))" systemctl stop "$1@$2.service" || systemctl kill -s KILL "$1@$2.service" 2>/dev/null || true
    systemctl stop "$1@$2.service" "$1@$2.socket" 2>/dev/null || true
    systemctl reset-failed "$1@$2.service" "$1@$2.socket" 2>/dev/null || true
}

# systemd_slot_at_boot APP SLOT yes|no: its socket starts at a boot, and that starts the rest.
systemd_slot_at_boot() {
    if [ "$3" = yes ]; then
        systemctl enable --quiet "$1@$2.socket"
    else
        for unit in "$1@$2.socket" "$1@$2.service"; do
            if systemctl is-enabled --quiet "$unit" 2>/dev/null; then systemctl disable --quiet "$unit"; fi
        done
    fi
}

# systemd_slot_pid APP SLOT: 0 if it does not run.
systemd_slot_pid() { systemctl show -p MainPID --value "$1@$2.service"; }

# systemd_slot_exit APP SLOT: how its main process ended (systemd.service(5), ExecMainCode and ExecMainStatus; 0: another one runs
# already); empty if it was ended because it took too long to start.
systemd_slot_exit() {
    if [ "$(systemctl show -p Result --value "$1@$2.service")" = timeout ]; then return 0; fi
    status=$(systemctl show -p ExecMainStatus --value "$1@$2.service")
    case $(systemctl show -p ExecMainCode --value "$1@$2.service") in
    0) echo "it was started again" ;;
    2 | 3) echo "signal $status" ;;
    *) echo "exit status $status" ;;
    esac
}

# systemd_slot_since APP SLOT: seconds since 1970; empty if it does not run.
systemd_slot_since() {
    since=$(systemctl show -p ActiveEnterTimestamp --value "$1@$2.service")
    if [ -n "$since" ]; then date -d "$since" +%s; fi
}

# systemd_slot_log_mark APP SLOT: where its log ends now, for systemd_slot_log.
systemd_slot_log_mark() { date '+%Y-%m-%d %H:%M:%S'; }

# systemd_slot_log APP SLOT MARK: the last 30 lines since the mark.
systemd_slot_log() { journalctl -q -o cat --no-pager -u "$1@$2.service" --since "$3" | tail -n 30 || true; }

# systemd_processes APP SLOT: the names of what runs beside the slot with its release; a schedule's is NAME.timer.
systemd_processes() {
    layout_slot "$1" "$2"
    for path in "$slot_units/$1-"*; do
        name=${path##*/"$1"-}
        case $name in
        *.timer) echo "$name" ;;
        *) if grep -qsx 'Restart=always' "$path"; then echo "${name%.service}"; fi ;;
        esac
    done
}

# systemd_processes_write APP SLOT: systemd gets the units of the slot's release, and loses those that it does not have.
systemd_processes_write() {
    layout_slot "$1" "$2"
    for path in "$systemd_units/$1-"*.service "$systemd_units/$1-"*.timer; do
        if [ ! -e "$slot_units/${path##*/}" ] && systemd_is_ours "$1" "$path"; then systemd_remove "${path##*/}"; fi
    done
    for path in "$slot_units/$1-"*; do
        if [ -e "$path" ] && ! cmp -s "$path" "$systemd_units/${path##*/}"; then put "$systemd_units/${path##*/}" root root 644 <"$path" || return 1; fi
    done
    systemctl daemon-reload
}

# systemd_is_ours APP PATH
systemd_is_ours() { grep -qsF "# provision: $1. " "$2"; }

# systemd_process_unit APP NAME
systemd_process_unit() { case $2 in *.timer) echo "$1-$2" ;; *) echo "$1-$2.service" ;; esac; }

# systemd_process_state APP NAME: a timer that would not start at a boot is down, too.
systemd_process_state() {
    unit=$(systemd_process_unit "$1" "$2")
    if systemctl is-enabled --quiet "$unit" 2>/dev/null; then systemctl is-active "$unit" || true; else echo inactive; fi
}

# systemd_process_restart APP NAME
systemd_process_restart() {
    unit=$(systemd_process_unit "$1" "$2")
    systemctl enable --quiet "$unit"
    systemctl restart "$unit"
}

# systemd_process_log APP NAME [SINCE]
systemd_process_log() { journalctl -q -o cat --no-pager -u "$(systemd_process_unit "$1" "$2")" -n 30 ${3:+"--since=$3"} || true; }

# systemd_processes_stop APP: all processes and timers beside the slots, but no schedule's job.
systemd_processes_stop() {
    for path in "$systemd_units/$1-"*.service "$systemd_units/$1-"*.timer; do
        if ! systemd_is_ours "$1" "$path"; then continue; fi
        case $path in *.service) if ! grep -qx 'Restart=always' "$path"; then continue; fi ;; esac
        systemctl disable --quiet --now "${path##*/}" || true
    done
}

# systemd_jobs_stop APP: the jobs of its schedules that are under way. Its timers are stopped.
systemd_jobs_stop() {
    for path in "$systemd_units/$1-"*.service; do
        if systemd_is_ours "$1" "$path"; then systemctl stop "${path##*/}" || true; fi
    done
}

# systemd_remove UNIT: stop, disable and remove it, and the note of when a timer ran. A unit that is the template of others (APP@.service) runs nothing itself.
systemd_remove() {
    case $1 in *@.service) ;; *) systemctl disable --quiet --now "$1" 2>/dev/null || true ;; esac
    rm -f "$systemd_units/$1" "$provision_stamps/$1"
    case $1 in *.timer) rm -f "$root/var/lib/systemd/timers/stamp-$1" ;; esac
    systemctl daemon-reload
    systemctl reset-failed "$1" 2>/dev/null || true
}

# systemd_uninstall PATH: the unit of this file, and a slot's slice.
systemd_uninstall() {
    case $1 in "$systemd_units"/*) unit=${1##*/} ;; *) return 0 ;; esac
    systemd_remove "$unit"
    case $unit in *@*.service) systemctl stop "system-$(systemd-escape "${unit%@*}").slice" 2>/dev/null || true ;; esac
}

# systemd_serves USERS: nothing, as each server has systemd.
systemd_serves() { :; }

# systemd_places APP: nothing.
systemd_places() { :; }

# systemd_runs PATH...: the units that run, of those that the files at these paths describe; no sockets, as they go with their
# services.
systemd_runs() {
    count=$#
    for path; do
        case $path in
        *.socket) ;;
        "$systemd_units"/*@.service) set -- "$@" "$(basename "$path" .service)*.service" ;;
        "$systemd_units"/*) set -- "$@" "${path##*/}" ;;
        esac
    done
    shift "$count"
    if [ "$#" -gt 0 ]; then systemctl list-units --plain --no-legend --state=active,activating,reloading "$@" 2>/dev/null | awk '{ print $1 }'; fi
}
