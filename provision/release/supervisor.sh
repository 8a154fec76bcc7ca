# shellcheck shell=sh disable=SC2154
# How Supervisor runs an app: its slots as the programs APP-SLOT, its other processes as APP-NAME, and cron its schedules.
# A slot's program is a group of two: the first runs Gunicorn, and the second keeps the socket open while the first restarts.
# Reads supervisor_programs, supervisor_jobs, supervisor_socket and provision_stamps (layout).

# supervisor_rpc METHOD NAME [nowait]: the answer over its socket (its documentation, "XML-RPC API"), in one line.
supervisor_rpc() {
    {
        printf '<?xml version="1.0"?><methodCall><methodName>supervisor.%s</methodName><params>' "$1"
        if [ -n "${2:-}" ]; then printf '<param><value><string>%s</string></value></param>' "$2"; fi
        if [ -n "${3:-}" ]; then printf '<param><value><boolean>0</boolean></value></param>'; fi
        printf '</params></methodCall>'
    } | curl -s --unix-socket "$supervisor_socket" -H 'Content-Type: text/xml' --data-binary @- http://localhost/RPC2 | tr -d '\n'
}

# supervisor_rpc_field NAME <ANSWER: one member of the struct in it.
supervisor_rpc_field() { sed -n "s/.*<name>$1<\/name><value><[a-z]*>\([^<]*\)<.*/\1/p"; }

supervisor_is_there() { [ -S "$supervisor_socket" ]; }

# supervisor_state PROGRAM: in systemd's words.
supervisor_state() {
    if ! supervisor_is_there; then echo inactive && return 0; fi
    case $(supervisor_rpc getProcessInfo "$1" | supervisor_rpc_field statename) in
    RUNNING | STARTING) echo active ;;
    BACKOFF | FATAL) echo failed ;;
    STOPPING) echo deactivating ;;
    *) echo inactive ;;
    esac
}

# supervisor_stop PROGRAM: try again if it has just ended by itself: Supervisor says that it does not run, and restarts it.
supervisor_stop() {
    for _ in 1 2 3 4 5; do
        case $(supervisor_rpc stopProcess "$1") in *NOT_RUNNING*) ;; *) return 0 ;; esac
        case $(supervisor_rpc getProcessInfo "$1" | supervisor_rpc_field statename) in STOPPED | FATAL) return 0 ;; esac
        sleep 0.1
    done
}

# supervisor_end PROGRAM: stop it, and with it whatever its processes left behind: Supervisor knows only those that it started.
supervisor_end() {
    supervisor_stop "$1"
    supervisor_sweep "$1"
}

# supervisor_sweep PROGRAM: end all in the slice of its scopes (the templates have its name).
supervisor_sweep() {
    slice=provision-$(printf '%s\n' "$1" | tr - _).slice
    if ! systemctl -q is-active "$slice"; then return 0; fi
    systemctl kill --signal=KILL "$slice" || true
    timeout 20 systemctl stop "$slice" || true
}

# supervisor_load PROGRAM: load its file as it is now; what ran under that name is stopped. Supervisor's own `update` would
# restart everything else that has changed.
supervisor_load() {
    supervisor_end "$1"
    supervisor_rpc removeProcessGroup "$1" >/dev/null
    supervisor_rpc reloadConfig >/dev/null
    case $(supervisor_rpc addProcessGroup "$1") in
    *faultString*ALREADY_ADDED* | *boolean*) ;;
    *) fail "Supervisor does not take $supervisor_programs/$1.conf: $(supervisorctl reread 2>&1 | tail -n 1)" ;;
    esac
}

# supervisor_unload PROGRAM
supervisor_unload() {
    if ! supervisor_is_there; then return 0; fi
    supervisor_end "$1"
    supervisor_rpc reloadConfig >/dev/null
    supervisor_rpc removeProcessGroup "$1" >/dev/null
}

# supervisor_main APP SLOT: the process of a slot that runs Gunicorn.
supervisor_main() { echo "$1-$2:$1-$2_0"; }

# supervisor_keeper APP SLOT: the one that keeps its socket open.
supervisor_keeper() { echo "$1-$2:$1-$2_1"; }

# supervisor_slot_probe APP SLOT: its fields of a record: active, enabled, reload. A boot starts the active slot.
supervisor_slot_probe() {
    enabled=disabled active=$(supervisor_slot_state "$1" "$2")
    if [ "$(readlink "$app_active_slot")" = "$2" ]; then enabled=enabled; fi
    if [ "$active" = active ] && [ "$(supervisor_state "$(supervisor_keeper "$1" "$2")")" != active ]; then active='without its socket'; fi
    printf 'active=%s\tenabled=%s\treload=no\t' "$active" "$enabled"
}

# supervisor_slot_state APP SLOT
supervisor_slot_state() { supervisor_state "$(supervisor_main "$1" "$2")"; }

# supervisor_slot_program APP SLOT: the slot's program, made from its own copy.
supervisor_slot_program() {
    layout_slot "$1" "$2"
    sed "s/@SLOT@/$2/g" "$slot_folder/program.conf"
}

# supervisor_slot_differs APP SLOT: whether Supervisor or cron reads other files than the slot's, or has not loaded them.
supervisor_slot_differs() {
    layout_slot "$1" "$2"
    if ! supervisor_slot_program "$1" "$2" | cmp -s - "$supervisor_programs/$1-$2.conf"; then return 0; fi
    known=$(supervisor_rpc getAllProcessInfo | sed 's/<struct>/\n/g' | supervisor_rpc_field group)
    for path in "$slot_units/$1-"*; do
        if [ ! -e "$path" ]; then continue; fi
        unit=${path##*/}
        if ! cmp -s "$path" "$(supervisor_path_of "$unit")"; then return 0; fi
        case $unit in *.conf) printf '%s\n' "$known" | grep -qxF "${unit%.conf}" || return 0 ;; esac
    done
    return 1
}

# supervisor_path_of UNIT: where Supervisor (NAME.conf) or cron (NAME) reads a file of a slot's units.
supervisor_path_of() { case $1 in *.conf) echo "$supervisor_programs/$1" ;; *) echo "$supervisor_jobs/$1" ;; esac; }

# supervisor_slot_forget APP SLOT: remove the slot's program, until it is written again.
supervisor_slot_forget() {
    if [ -e "$supervisor_programs/$1-$2.conf" ]; then
        rm -f "$supervisor_programs/$1-$2.conf"
        supervisor_unload "$1-$2"
    fi
}

# supervisor_slot_write APP SLOT
supervisor_slot_write() { supervisor_slot_program "$1" "$2" | put "$supervisor_programs/$1-$2.conf" root root 644; }

# supervisor_slot_start APP SLOT
supervisor_slot_start() {
    if [ "${supervisor_waits:-}" != "$1-$2" ]; then supervisor_slot_open_socket "$1" "$2" || return 1; fi
    supervisor_waits=
    supervisor_rpc startProcess "$(supervisor_main "$1" "$2")" nowait | grep -q '<boolean>1'
}

supervisor_slot_open_socket() {
    supervisor_slot_stop "$1" "$2"
    supervisor_load "$1-$2"
    supervisor_rpc startProcess "$(supervisor_keeper "$1" "$2")" nowait | grep -q '<boolean>1'
}

# supervisor_slot_wait APP SLOT: what keeps the socket open runs, and Gunicorn does not yet. Sets supervisor_waits.
supervisor_slot_wait() {
    supervisor_slot_open_socket "$1" "$2" || fail "Supervisor does not open the socket of $1-$2: supervisorctl status says more"
    supervisor_waits=$1-$2
    # shellcheck disable=SC2034 # takeover.sh reads it
    waits=$(supervisor_rpc getProcessInfo "$(supervisor_keeper "$1" "$2")" | supervisor_rpc_field pid)
}

# supervisor_slot_open APP: nothing, as nothing starts Gunicorn but supervisor_slot_start.
supervisor_slot_open() { :; }

# supervisor_slot_stop APP SLOT: a slot of an older toolkit is a single process.
supervisor_slot_stop() {
    if ! supervisor_is_there; then return 0; fi
    supervisor_stop "$1-$2"
    supervisor_stop "$(supervisor_main "$1" "$2")"
    supervisor_stop "$(supervisor_keeper "$1" "$2")"
    supervisor_sweep "$1-$2"
}

# supervisor_slot_at_boot APP SLOT yes|no: nothing to do, as the link to the active slot decides.
supervisor_slot_at_boot() { :; }

# supervisor_slot_exit APP SLOT: how its main process ended. Supervisor forgets the status of one that ends too quickly.
supervisor_slot_exit() {
    said=$(supervisor_rpc getProcessInfo "$(supervisor_main "$1" "$2")")
    case $(printf '%s\n' "$said" | supervisor_rpc_field statename) in
    STARTING | RUNNING) echo "it was started again" ;;
    BACKOFF | FATAL) printf '%s\n' "$said" | supervisor_rpc_field spawnerr ;;
    *) echo "exit status $(printf '%s\n' "$said" | supervisor_rpc_field exitstatus)" ;;
    esac
}

# supervisor_slot_pid APP SLOT: 0 if it does not run.
supervisor_slot_pid() { supervisor_rpc getProcessInfo "$(supervisor_main "$1" "$2")" | supervisor_rpc_field pid; }

# supervisor_slot_since APP SLOT: seconds since 1970; 0 if it never ran.
supervisor_slot_since() { supervisor_rpc getProcessInfo "$(supervisor_main "$1" "$2")" | supervisor_rpc_field start; }

# supervisor_slot_log_mark APP SLOT: the length of its log in bytes, for supervisor_slot_log.
supervisor_slot_log_mark() {
    layout_supervisor "$1"
    if [ -e "$supervisor_logs/$2.log" ]; then wc -c <"$supervisor_logs/$2.log"; else echo 0; fi
}

# supervisor_slot_log APP SLOT MARK: the last 30 lines after the mark.
supervisor_slot_log() {
    layout_supervisor "$1"
    tail -c "+$(($3 + 1))" "$supervisor_logs/$2.log" 2>/dev/null | tail -n 30
}

# supervisor_processes APP SLOT: the names of what runs beside the slot with its release; cron starts the schedules.
supervisor_processes() {
    layout_slot "$1" "$2"
    for path in "$slot_units/$1-"*.conf; do
        name=${path##*/"$1"-}
        if grep -qsx 'autorestart=true' "$path"; then echo "${name%.conf}"; fi
    done
}

# supervisor_processes_write APP SLOT: Supervisor and cron get the files of the slot's release, and lose those that it does not
# have. The schedules' programs are loaded.
supervisor_processes_write() {
    layout_slot "$1" "$2"
    for path in "$supervisor_programs/$1-"*.conf "$supervisor_jobs/$1-"*; do
        unit=${path##*/}
        if [ -e "$slot_units/$unit" ] || ! supervisor_is_ours "$1" "$path"; then continue; fi
        case $unit in
        "$1-blue.conf" | "$1-green.conf") ;;
        *.conf) supervisor_remove "${unit%.conf}" ;;
        *) supervisor_remove_job "$unit" ;;
        esac
    done
    for path in "$slot_units/$1-"*; do
        if [ ! -e "$path" ]; then continue; fi
        unit=${path##*/}
        written=$(supervisor_path_of "$unit")
        if ! cmp -s "$path" "$written"; then put "$written" root root 644 <"$path" || return 1; fi
        case $unit in *.conf) if ! grep -qx 'autorestart=true' "$path"; then supervisor_load "${unit%.conf}"; fi ;; esac
    done
}

# supervisor_is_ours APP PATH
supervisor_is_ours() { grep -qs "^[;#] provision: $1\. " "$2"; }

# supervisor_process_state APP NAME
supervisor_process_state() { supervisor_state "$1-$2"; }

# supervisor_process_restart APP NAME
supervisor_process_restart() {
    supervisor_load "$1-$2"
    case $(supervisor_rpc startProcess "$1-$2" nowait) in *'<boolean>1'* | *ALREADY_STARTED*) ;; *) return 1 ;; esac
}

# supervisor_process_log APP NAME
supervisor_process_log() {
    layout_supervisor "$1"
    tail -n 30 "$supervisor_logs/$2.log" || true
}

# supervisor_processes_stop APP: all processes beside the slots, and what cron would start; whatever runs next writes it again.
supervisor_processes_stop() {
    for path in "$supervisor_jobs/$1-"*; do
        if supervisor_is_ours "$1" "$path"; then supervisor_remove_job "${path##*/}"; fi
    done
    if ! supervisor_is_there; then return 0; fi
    for path in "$supervisor_programs/$1-"*.conf; do
        if supervisor_is_ours "$1" "$path"; then
            path=${path##*/}
            case $path in "$1-blue.conf" | "$1-green.conf") ;; *) supervisor_end "${path%.conf}" ;; esac
        fi
    done
}

# supervisor_jobs_stop APP: the jobs of its schedules; what cron has begun to start is not there any more.
supervisor_jobs_stop() {
    for path in "$supervisor_jobs/$1-"*; do
        if ! supervisor_is_ours "$1" "$path"; then continue; fi
        supervisor_remove_job "${path##*/}"
        supervisor_unload "${path##*/}"
    done
}

# supervisor_remove PROGRAM: stop, unload and remove it.
supervisor_remove() {
    rm -f "$supervisor_programs/$1.conf"
    supervisor_unload "$1"
    rm -f "$provision_stamps/program-$1"
}

# supervisor_remove_job JOB: remove it; cron notices by itself.
supervisor_remove_job() { rm -f "$supervisor_jobs/$1"; }

# supervisor_uninstall PATH: the program or the job of this file.
supervisor_uninstall() {
    case $1 in
    "$supervisor_programs"/*) supervisor_remove "$(basename "$1" .conf)" ;;
    "$supervisor_jobs"/*) supervisor_remove_job "${1##*/}" ;;
    esac
}

# supervisor_serves "USER USER...": PACKAGE and WHY, for each file of somebody else's that Supervisor or cron reads; the users are apps'.
supervisor_serves() {
    for path in "$supervisor_programs"/*.conf "$supervisor_jobs"/* "$root"/var/spool/cron/crontabs/*; do
        if [ ! -f "$path" ] || head -n 1 "$path" | grep -q '^[;#] provision: '; then continue; fi
        case $path in
        "$supervisor_programs"/*) echo "supervisor it has $path" ;;
        */crontabs/*) case " $1 " in *" ${path##*/} "*) ;; *) echo "cron it has $path" ;; esac ;;
        *) if ! dpkg -S "$path" >/dev/null 2>&1; then echo "cron it has $path"; fi ;;
        esac
    done
}

# supervisor_places APP
supervisor_places() {
    layout_supervisor "$1"
    echo "$supervisor_logs"
}

# In: NUMBER PROGRAM. Out: state (loaded or changed).
supervisor_probe() {
    known=
    if supervisor_is_there; then known=$(supervisor_rpc getAllProcessInfo | sed 's/<struct>/\n/g' | supervisor_rpc_field group); fi
    while IFS='	' read -r number program; do
        state=changed
        if [ "$(service_stamp "$supervisor_programs/$program.conf")" = "$(cat "$provision_stamps/program-$program" 2>/dev/null)" ] &&
            printf '%s\n' "$known" | grep -qxF "$program"; then state=loaded; fi
        printf '%s\tstate=%s\n' "$number" "$state"
    done
}

# supervisor_keep PROGRAM: load it, and keep a stamp of its file. A Supervisor that has just started may still be reading files.
supervisor_keep() {
    supervisor_await
    stamp=$(service_stamp "$supervisor_programs/$1.conf")
    supervisor_load "$1"
    mkdir -p "$provision_stamps"
    printf '%s\n' "$stamp" | put "$provision_stamps/program-$1" root root 644
}

supervisor_await() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if supervisor_rpc getState | grep -q RUNNING; then return 0; fi
        sleep 0.5
    done
    fail "Supervisor does not answer on $supervisor_socket: systemctl status supervisor says why"
}

# supervisor_runs PATH...: the programs that run, and cron's jobs, of those that the files at these paths describe.
supervisor_runs() {
    for path; do
        case $path in
        "$supervisor_programs"/*)
            name=$(basename "$path" .conf)
            for each in "$name" "$name:${name}_0"; do if [ "$(supervisor_state "$each")" = active ]; then echo "$name"; fi; done
            ;;
        "$supervisor_jobs"/*) echo "$path" ;;
        esac
    done
}
