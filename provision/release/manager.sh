# shellcheck shell=sh
# What runs an app's slots and its processes: systemd, as APP@SLOT.service and APP-NAME.service, or Supervisor, as the
# programs APP-SLOT and APP-NAME. A slot's own manager stands in /etc/APP/SLOT/manager.

units=/etc/systemd/system
programs=/etc/supervisor/conf.d

# rpc METHOD NAME [nowait]: Supervisor's answer over its socket (its documentation, "XML-RPC API"), in one line.
rpc() {
    {
        printf '<?xml version="1.0"?><methodCall><methodName>supervisor.%s</methodName><params>' "$1"
        if [ -n "${2:-}" ]; then printf '<param><value><string>%s</string></value></param>' "$2"; fi
        if [ -n "${3:-}" ]; then printf '<param><value><boolean>0</boolean></value></param>'; fi
        printf '</params></methodCall>'
    } | curl -s --unix-socket /run/supervisor.sock -H 'Content-Type: text/xml' --data-binary @- http://localhost/RPC2 | tr -d '\n'
}

# told NAME: one member of the struct in an answer.
told() { sed -n "s/.*<name>$1<\/name><value><[a-z]*>\([^<]*\)<.*/\1/p"; }

has_supervisor() { [ -S /run/supervisor.sock ]; }

# program_state NAME: as systemd would say it.
program_state() {
    case $(rpc getProcessInfo "$1" | told statename) in
    RUNNING | STARTING) echo active ;;
    BACKOFF | FATAL) echo failed ;;
    STOPPING) echo deactivating ;;
    *) echo inactive ;;
    esac
}

# stop_program NAME: one that has just ended by itself is said not to run, and is started again at once.
stop_program() {
    for _ in 1 2 3 4 5; do
        case $(rpc stopProcess "$1") in *NOT_RUNNING*) ;; *) return 0 ;; esac
        case $(rpc getProcessInfo "$1" | told statename) in STOPPED | FATAL) return 0 ;; esac
        sleep 0.1
    done
}

# load_program NAME: Supervisor runs it as its file says now; what it ran before under that name is stopped.
load_program() {
    stop_program "$1"
    rpc removeProcessGroup "$1" >/dev/null
    rpc reloadConfig >/dev/null
    case $(rpc addProcessGroup "$1") in
    *faultString*ALREADY_ADDED* | *boolean*) ;;
    *) fail "Supervisor does not take $programs/$1.conf: $(supervisorctl reread 2>&1 | tail -n 1)" ;;
    esac
}

unload_program() {
    if ! has_supervisor; then return 0; fi
    stop_program "$1"
    rpc reloadConfig >/dev/null
    rpc removeProcessGroup "$1" >/dev/null
}

manager_of() {
    if ! cat "/etc/$1/$2/manager" 2>/dev/null; then echo systemd; fi
}

# slot_state APP SLOT
slot_state() {
    if [ "$(manager_of "$1" "$2")" = supervisor ]; then program_state "$1-$2"; else systemctl is-active "$1@$2" || true; fi
}

slot_runs() { [ "$(slot_state "$1" "$2")" = active ]; }

# slot_start APP SLOT: with systemd it waits until the app is ready.
slot_start() {
    if [ "$(manager_of "$1" "$2")" = supervisor ]; then
        load_program "$1-$2"
        rpc startProcess "$1-$2" nowait | grep -q '<boolean>1'
    else
        systemctl reset-failed "$1@$2" 2>/dev/null || true
        if [ "$(systemctl show -p NeedDaemonReload --value "$1@$2")" = yes ]; then systemctl daemon-reload; fi
        systemctl start "$1@$2"
    fi
}

# slot_stop APP SLOT: in whichever manager it runs.
slot_stop() {
    systemctl stop "$1@$2" 2>/dev/null || true
    systemctl reset-failed "$1@$2" 2>/dev/null || true
    if has_supervisor; then stop_program "$1-$2"; fi
}

# slot_at_boot APP SLOT yes|no. What Supervisor starts at boot is what /etc/APP/current names.
slot_at_boot() {
    if [ "$(manager_of "$1" "$2")" = supervisor ]; then return 0; fi
    if [ "$3" = yes ]; then
        systemctl enable --quiet "$1@$2"
    elif systemctl is-enabled --quiet "$1@$2" 2>/dev/null; then
        systemctl disable --quiet "$1@$2"
    fi
}

slot_pid() {
    if [ "$(manager_of "$1" "$2")" = supervisor ]; then rpc getProcessInfo "$1-$2" | told pid; else systemctl show -p MainPID --value "$1@$2"; fi
}

# slot_since APP SLOT: seconds since 1970; empty where it does not run.
slot_since() {
    if [ "$(manager_of "$1" "$2")" = supervisor ]; then
        rpc getProcessInfo "$1-$2" | told start
    else
        since=$(systemctl show -p ActiveEnterTimestamp --value "$1@$2")
        if [ -n "$since" ]; then date -d "$since" +%s; fi
    fi
}

# workers_of PID: its children.
workers_of() { cat "/proc/$1/task/$1/children" 2>/dev/null || true; }

# log_end FILE: its length in bytes.
log_end() { if [ -e "$1" ]; then wc -c <"$1"; else echo 0; fi; }

# slot_log APP SLOT SINCE BYTES: its last 30 lines after that time, or after so many bytes of its file.
slot_log() {
    if [ "$(manager_of "$1" "$2")" = supervisor ]; then
        tail -c "+$(($4 + 1))" "/var/log/supervisor/$1/$2.log" 2>/dev/null | tail -n 30
    else
        journalctl -q -o cat --no-pager -u "$1@$2" --since "$3" -n 30 || true
    fi
}

# process_state APP NAME MANAGER
process_state() {
    if [ "$3" = supervisor ]; then program_state "$1-$2"; else systemctl is-active "$1-$2.service" || true; fi
}

# process_restart APP NAME MANAGER
process_restart() {
    if [ "$3" = supervisor ]; then
        load_program "$1-$2"
        case $(rpc startProcess "$1-$2" nowait) in *'<boolean>1'* | *ALREADY_STARTED*) ;; *) return 1 ;; esac
    else
        systemctl daemon-reload
        systemctl enable --quiet "$1-$2.service"
        systemctl restart "$1-$2.service"
    fi
}

# processes_stop APP MANAGER: all that it keeps running beside the slots.
processes_stop() {
    if [ "$2" = supervisor ]; then
        for path in "$programs/$1-"*.conf; do
            if grep -qsF "; provision: $1. " "$path"; then
                path=${path##*/}
                case $path in "$1-blue.conf" | "$1-green.conf") ;; *) stop_program "${path%.conf}" ;; esac
            fi
        done
    else
        for path in "$units/$1-"*.service; do
            if grep -qsF "# provision: $1. " "$path" && grep -qx 'Restart=always' "$path"; then systemctl disable --quiet --now "${path##*/}" || true; fi
        done
    fi
}

# process_log APP NAME MANAGER
process_log() {
    if [ "$3" = supervisor ]; then
        tail -n 30 "/var/log/supervisor/$1/$2.log" || true
    else
        journalctl -q -o cat --no-pager -u "$1-$2.service" -n 30 || true
    fi
}

# retire PATH: a unit, program or cron job of ours that is wanted no more: stopped, gone.
retire() {
    name=${1##*/}
    case $1 in
    "$units"/*@.service)
        for slot in blue green; do systemctl disable --quiet --now "${name%.service}$slot" 2>/dev/null || true; done
        ;;
    "$units"/*) systemctl disable --quiet --now "$name" || true ;;
    esac
    rm -f "$1"
    case $1 in
    "$units"/*)
        rm -f "/var/lib/provision/stamps/$name"
        systemctl daemon-reload
        systemctl reset-failed "$name" 2>/dev/null || true
        ;;
    "$programs"/*)
        unload_program "${name%.conf}"
        rm -f "/var/lib/provision/stamps/program-${name%.conf}"
        ;;
    esac
}

# In: NUMBER NAME. Out: NUMBER loaded|changed.
probe_programs() {
    known=
    if has_supervisor; then known=$(rpc getAllProcessInfo | sed 's/<struct>/\n/g' | told group); fi
    while IFS='	' read -r number name; do
        state=changed
        stamp=/var/lib/provision/stamps/program-$name
        if [ "$(program_stamp "$name")" = "$(cat "$stamp" 2>/dev/null)" ] && printf '%s\n' "$known" | grep -qxF "$name"; then state=loaded; fi
        printf '%s\t%s\n' "$number" "$state"
    done
}

program_stamp() { stat -c '%n %i %s %.9Y' "$programs/$1.conf" 2>/dev/null || true; }

# keep_program NAME: a Supervisor that was started a moment ago may still be reading its files.
keep_program() {
    await_supervisor
    stamp=$(program_stamp "$1")
    load_program "$1"
    mkdir -p /var/lib/provision/stamps
    printf '%s\n' "$stamp" | put "/var/lib/provision/stamps/program-$1" root root 644
}

await_supervisor() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if rpc getState | grep -q RUNNING; then return 0; fi
        sleep 0.5
    done
    fail "Supervisor does not answer on /run/supervisor.sock: systemctl status supervisor says why"
}

# In: NUMBER PATH. Nothing is asked of what is to go.
probe_retired() { cat >/dev/null; }
