# shellcheck shell=sh disable=SC2154
# How systemd runs an app: its slots as APP@SLOT.service, its other processes as APP-NAME.service.
# Reads systemd_units and provision_stamps (layout), and what layout_app sets.

# systemd_slot_probe APP SLOT: its fields of a record: active, enabled, reload.
systemd_slot_probe() {
    systemctl show -p ActiveState -p UnitFileState -p NeedDaemonReload "$1@$2" |
        sed -n 's/^ActiveState=/active=/p; s/^UnitFileState=/enabled=/p; s/^NeedDaemonReload=/reload=/p' | tr '\n' '\t'
}

# systemd_slot_state APP SLOT
systemd_slot_state() { systemctl is-active "$1@$2" || true; }

# systemd_slot_differs APP SLOT: never, as both slots share a unit.
systemd_slot_differs() { return 1; }

# systemd_slot_forget APP SLOT: nothing to forget, as both slots share a unit.
systemd_slot_forget() { :; }

# systemd_slot_write APP SLOT
systemd_slot_write() { :; }

# systemd_slot_start APP SLOT: returns once the app is ready.
systemd_slot_start() {
    systemctl reset-failed "$1@$2" 2>/dev/null || true
    if [ "$(systemctl show -p NeedDaemonReload --value "$1@$2")" = yes ]; then systemctl daemon-reload; fi
    systemctl start "$1@$2"
}

# systemd_slot_stop APP SLOT
systemd_slot_stop() {
    systemctl stop "$1@$2" 2>/dev/null || true
    systemctl reset-failed "$1@$2" 2>/dev/null || true
}

# systemd_slot_at_boot APP SLOT yes|no
systemd_slot_at_boot() {
    if [ "$3" = yes ]; then
        systemctl enable --quiet "$1@$2"
    elif systemctl is-enabled --quiet "$1@$2" 2>/dev/null; then
        systemctl disable --quiet "$1@$2"
    fi
}

# systemd_slot_pid APP SLOT: 0 if it does not run.
systemd_slot_pid() { systemctl show -p MainPID --value "$1@$2"; }

# systemd_slot_exit APP SLOT: how its main process ended (systemd.service(5), ExecMainCode and ExecMainStatus).
systemd_slot_exit() {
    status=$(systemctl show -p ExecMainStatus --value "$1@$2")
    case $(systemctl show -p ExecMainCode --value "$1@$2") in
    2 | 3) echo "signal $status" ;;
    *) echo "exit status $status" ;;
    esac
}

# systemd_slot_since APP SLOT: seconds since 1970; empty if it does not run.
systemd_slot_since() {
    since=$(systemctl show -p ActiveEnterTimestamp --value "$1@$2")
    if [ -n "$since" ]; then date -d "$since" +%s; fi
}

# systemd_slot_log_mark APP SLOT: where its log ends now, for systemd_slot_log.
systemd_slot_log_mark() { date '+%Y-%m-%d %H:%M:%S'; }

# systemd_slot_log APP SLOT MARK: the last 30 lines since the mark.
systemd_slot_log() { journalctl -q -o cat --no-pager -u "$1@$2" --since "$3" | tail -n 30 || true; }

# systemd_process_state APP NAME
systemd_process_state() { systemctl is-active "$1-$2.service" || true; }

# systemd_process_restart APP NAME
systemd_process_restart() {
    systemctl daemon-reload
    systemctl enable --quiet "$1-$2.service"
    systemctl restart "$1-$2.service"
}

# systemd_process_log APP NAME
systemd_process_log() { journalctl -q -o cat --no-pager -u "$1-$2.service" -n 30 || true; }

# systemd_processes_stop APP: all processes beside the slots, but no schedule's job.
systemd_processes_stop() {
    for path in "$systemd_units/$1-"*.service; do
        if grep -qsF "# provision: $1. " "$path" && grep -qx 'Restart=always' "$path"; then systemctl disable --quiet --now "${path##*/}" || true; fi
    done
}

# systemd_remove UNIT: stop, disable and remove it.
systemd_remove() {
    case $1 in
    *@.service) for slot in blue green; do systemctl disable --quiet --now "${1%.service}$slot" 2>/dev/null || true; done ;;
    *) systemctl disable --quiet --now "$1" || true ;;
    esac
    rm -f "$systemd_units/$1"
    rm -f "$provision_stamps/$1"
    systemctl daemon-reload
    systemctl reset-failed "$1" 2>/dev/null || true
}

# systemd_runs PATH...: the units that run, of those that the files at these paths describe.
systemd_runs() {
    count=$#
    for path; do
        case $path in
        "$systemd_units"/*@.service) set -- "$@" "$(basename "$path" .service)*.service" ;;
        "$systemd_units"/*) set -- "$@" "${path##*/}" ;;
        esac
    done
    shift "$count"
    if [ "$#" -gt 0 ]; then systemctl list-units --plain --no-legend --state=active,activating,reloading "$@" 2>/dev/null | awk '{ print $1 }'; fi
}
