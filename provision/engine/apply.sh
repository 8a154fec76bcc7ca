# shellcheck shell=sh disable=SC2154
# Two programs share this file. The starter runs at the end of the SSH connection: it takes the lock, starts the runner in a
# session of its own, and follows its events. The runner makes the changes one after another, with or without anyone listening.
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 077

# run_start RUN GENERATION WHO TASK FLEET SECONDS <runner
run_start() {
    mkdir -p "$provision_runs"
    exec 9>>"$provision_lock"
    run_lock "$6"
    found_begin
    lease_allows "$5" || exit 0
    run_is_current "$2"
    run_sweep
    # Of earlier runs, the five newest stay for those who look for them.
    find "$provision_runs" -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n +6 | xargs -r rm -rf
    run_make_room
    mkdir "$provision_runs/$1"
    cat >"$provision_runs/$1/script"
    : >"$provision_runs/$1/events"
    printf '%s\t%s\t%s\n' "$3 ($4)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >"$provision_holder"
    setsid sh "$provision_runs/$1/script" </dev/null >"$provision_runs/$1/stderr" 2>&1 &
    printf '%s\n' "$!" >"$provision_runs/$1/pid"
    exec 9>&-
}

# run_sweep: what an upload that was cut off left in the login's home. One that goes on was written to just now.
run_sweep() {
    home=$(getent passwd "${SUDO_USER:-$(id -un)}" | cut -d: -f6)
    find "$root$home" -maxdepth 1 -type f -name '.provision-*' ! -newermt '20 seconds ago' -delete 2>/dev/null
}

# run_make_room: a full disk must not keep a run from going back to what worked, so what was kept free is used now.
run_make_room() {
    if ! head -c 65536 /dev/zero 2>/dev/null >"$provision_state/.room"; then rm -f "$provision_reserve"; fi
    rm -f "$provision_state/.room"
}

# run_keep_room: a megabyte for such a day.
run_keep_room() {
    if [ -e "$provision_reserve" ]; then return 0; fi
    if head -c 1048576 /dev/zero 2>/dev/null >"$provision_state/.room"; then mv "$provision_state/.room" "$provision_reserve"; else rm -f "$provision_state/.room"; fi
}

# run_lock SECONDS: wait so long for the lock; whoever holds it for longer is the answer.
run_lock() {
    if ! flock -w "$1" 9; then
        printf 'locked\t\t%s\n' "$(cat "$provision_holder")"
        exit 0
    fi
    # A removal of the toolkit takes the lock's file along.
    if ! [ /proc/self/fd/9 -ef "$provision_lock" ]; then
        printf 'stale\t\t\n'
        exit 0
    fi
}

# run_is_current GENERATION: a plan that another run has made old is not carried out. Without one, nothing is checked.
run_is_current() {
    generation=none
    if [ -r "$provision_generation" ]; then read -r generation <"$provision_generation"; fi
    if [ -n "$1" ] && [ "$generation" != "$1" ]; then
        printf 'stale\t\t%s\n' "$(tail -n 1 "$provision_history" 2>/dev/null)"
        exit 0
    fi
}

# run_follow RUN LINE
run_follow() {
    if [ ! -e "$provision_runs/$1/pid" ]; then
        printf 'lost\t\t%s\n' "$1"
        exit 0
    fi
    tail -n "+$2" -f --pid="$(cat "$provision_runs/$1/pid")" "$provision_runs/$1/events"
    if ! tail -n 1 "$provision_runs/$1/events" | grep -q '^end'; then printf 'lost\t\t%s\n' "$1"; fi
    found_leave
}

# run_stop RUN
run_stop() { : >"$provision_runs/$1/stop"; }

# run_begin RUN WHO TASK COUNT: the script holds file contents, so it is gone as soon as it has been read.
run_begin() {
    run=$provision_runs/$1 id=$1 who=$2 task=$3 count=$4
    rm -f "$run/script"
    printf '%s\n' "$id" >"$provision_state/.generation"
    mv "$provision_state/.generation" "$provision_generation"
}

# run_hides <program: what sed makes of each line that changes print, so that secrets are not among the run's files.
run_hides() { hidden=$(cat); }

# run_hide: the lines without secrets. sed reads its program from a pipe: it is in no argument and in no file.
run_hide() {
    if [ -z "${hidden:-}" ]; then
        cat
    else
        { printf '%s\n' "$hidden" | stdbuf -oL sed -f /dev/fd/3 3<&0 0<&4; } 4<&0
    fi
}

run_event() { printf '%s\n' "$1" >>"$run/events"; }

# run_change NUMBER ID <script: runs the script as a child that holds no lock; a failure ends the run. A line of its output is cut so
# that it is one write: no event of another kind comes into the middle of it.
run_change() {
    script=$(cat) changing=$1
    if [ -e "$run/stop" ]; then
        run_event "stopped	$1	"
        run_finish 130
    fi
    run_event "begin	$1	$2"
    {
        (
            set -eu
            eval "$script"
        ) </dev/null 9>&-
        printf '%s\n' "$?" >"$run/status"
        # Output may end without a newline, an event may not.
        echo
    } 2>&1 | run_output | run_hide | stdbuf -oL cut -b -2000 | sed -u -e '/^$/d' -e "s/^/out	$1	/" >>"$run/events"
    read -r status <"$run/status"
    if [ "$status" != 0 ]; then
        run_event "failed	$1	$status"
        run_finish 1
    fi
    run_event "done	$1	"
}

# run_output: the first 4 MB of what a change prints, and 64 KB once its run has printed 32 MB: the events are in memory (tmpfs).
run_output() {
    size=4194304
    if [ "$(stat -c %s "$run/events")" -gt 33554432 ]; then size=65536; fi
    stdbuf -o0 head -c "$size"
    if [ "$(head -c 1 | wc -c)" = 1 ]; then
        printf '\n(it prints more than %s KB: the rest is left out)\n' "$((size / 1024))"
        cat >/dev/null
    fi
}

# run_tell notice|error LINE: an event of its own. Only root can write those: nothing that a change runs or prints is taken for one.
run_tell() {
    if [ -n "${changing:-}" ]; then
        run_event "$1	$changing	$(printf '%s' "$2" | tr '\n\t\r' '   ' | run_hide | head -c 2000)"
    else
        printf '%s: %s\n' "$1" "$2"
    fi
}

# run_finish STATUS: a run that settles has undone what was not confirmed, or has failed to. One that removed the toolkit leaves no note.
run_finish() {
    if [ -n "${settles:-}" ]; then lease_settle; fi
    if [ -e "$provision_state" ]; then run_note "$1"; fi
    run_event "end		$1"
    exit 0
}

run_note() {
    run_keep_room
    printf '{"run":"%s","task":"%s","who":"%s","at":"%s","changes":%s,"status":%s}\n' \
        "$id" "$task" "$who" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$count" "$1" >>"$provision_history"
}

# put PATH OWNER GROUP MODE <content: beside, synced, renamed. What a killed run left beside goes.
put() {
    for beside in "${1%/*}"/.provision.??????; do if [ -f "$beside" ]; then rm -f "$beside"; fi; done
    beside=$(mktemp "${1%/*}/.provision.XXXXXX") || return 1
    if ! { cat >"$beside" && chown "$2:$3" "$beside" && chmod "$4" "$beside" && sync "$beside" && mv -fT "$beside" "$1"; }; then
        rm -f "$beside"
        return 1
    fi
    sync "${1%/*}"
}

# point LINK TARGET: a symbolic link that is never missing while it changes. Beside it, a killed run may leave one that no `*` finds.
point() {
    ln -sfn "$2" "${1%/*}/.${1##*/}.provision-new"
    mv -fT "${1%/*}/.${1##*/}.provision-new" "$1"
    sync "${1%/*}"
}

# room PATH...: what is free on their filesystems: space, and inodes where there are none left.
room() {
    df -h --output=avail,iavail,target "$@" | sed 1d | awk '!($3 in seen) {
        printf "%s%s%s free on %s", sep, $1, ($2 == "0" ? " but no inodes" : ""), $3
        sep = ", "; seen[$3]
    }'
    echo
}

# notice LINE: what whoever started the run is told.
notice() { run_tell notice "$1"; }

# fail LINE: the one line that says what is wrong.
fail() {
    run_tell error "$1"
    exit 1
}
