# shellcheck shell=sh disable=SC2154
# Whether an app's name is free on a server.

# In: NUMBER APP HOME BUILDER "LOGIN LOGIN...". Out: begun=yes, if something was adopted for the app; and a record for each thing of that
# name that is somebody else's: foreign (what it is), word (the inventory's for it: user or folders; - if there is none), never (why it
# cannot be adopted), path or id, leaves (the groups that its user would leave), and used (which process uses it).
claim_probe() {
    while IFS='	' read -r number app home builder logins; do
        layout_app "$app"
        if [ -d "$app_adopted" ]; then printf '%s\tbegun=yes\n' "$number"; fi
        if [ -d "$app_state" ] || [ "$(getent passwd "$app" | cut -d: -f6-)" = "$home:/usr/sbin/nologin" ]; then continue; fi
        claim_foreign "$app" "$builder" "$logins" </dev/null | sed "s/^/$number	/"
    done
}

# claim_foreign APP BUILDER "LOGIN LOGIN...": the records.
claim_foreign() {
    claim_principal "$1" user "$(claim_never "$1" "$3" | head -n 1)"
    claim_principal "$2" - 'it has the name of what builds the app'
    for path in "$app_home" "$app_configuration" "$app_tmpfiles"; do
        if claim_theirs "$path"; then claim_record "${path#"$root"}" folders "$(claim_folder_never "$path")" "path=${path#"$root"}" "used=$(claim_used "$path")"; fi
    done
    if claim_theirs "$app_sockets"; then claim_record "${app_sockets#"$root"}" - 'a service that runs made it'; fi
}

# claim_record FOREIGN WORD NEVER FIELD...: some of it is what processes call themselves, and a tab in that would begin another field.
claim_record() {
    claimed="foreign=$1" word="word=$2" never="never=$3"
    shift 3
    for each in "$claimed" "$word" "$never" "$@"; do
        printf '%s' "$each" | tr '\000-\037\177' '?'
        echo
    done | paste -s
}

# claim_principal NAME WORD NEVER: the user of that name, or else the group.
claim_principal() {
    entry=$(getent passwd "$1")
    if [ -n "$entry" ]; then
        claim_record "the user $1 (uid $(id -u "$1"), home $(printf '%s\n' "$entry" | cut -d: -f6))" "$2" "$3" "leaves=$(claim_leaves "$1")"
    elif getent group "$1" >/dev/null; then
        claim_record "the group $1" "$2" "$3" leaves=
    fi
}

# claim_theirs PATH: whether something is there that no adoption has moved away before.
claim_theirs() {
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 1; fi
    ! adopted_moved "$1"
}

# claim_never USER "LOGIN LOGIN...": why the user, or the group, is none that an app may have; nothing if it may.
claim_never() {
    if getent passwd "$1" >/dev/null; then
        id=$(id -u "$1")
        case " $2 " in *" $1 "*) echo 'the inventory logs in as it' && return 0 ;; esac
        if [ "$id" -lt 1000 ] || [ "$id" -ge 60000 ]; then echo 'it is a user of the system' && return 0; fi
        if ! grep -q "^$1:" "$root/etc/passwd"; then echo 'it is not in /etc/passwd' && return 0; fi
        if [ "$(getent passwd "$id" | cut -d: -f1)" != "$1" ] || [ "$(cut -d: -f3 "$root/etc/passwd" | grep -cxF "$id")" != 1 ]; then
            echo "another user has its number ($id)" && return 0
        fi
        if claim_sudoer "$1"; then echo 'it may use sudo' && return 0; fi
        claim_logs_in "$1"
        claim_runs "$1"
    fi
    claim_shared "$1"
}

# claim_sudoer USER: what sudo does not rule out counts as allowed.
claim_sudoer() {
    case " $(id -nG "$1") " in *' sudo '* | *' admin '* | *' wheel '* | *' root '*) return 0 ;; esac
    if ! command -v sudo >/dev/null; then return 1; fi
    ! LC_ALL=C sudo -n -l -U "$1" 2>/dev/null | grep -q "is not allowed to run sudo"
}

# claim_logs_in USER: by which means somebody can log in as the user.
claim_logs_in() {
    case $(getent shadow "$1" | cut -d: -f2) in '!'* | '*'*) ;; *) echo 'it has a password to log in with' ;; esac
    files=$(sshd -T -C "user=$1,host=localhost,addr=127.0.0.1" 2>/dev/null | sed -n 's/^authorizedkeysfile //p')
    for file in ${files:-.ssh/authorized_keys .ssh/authorized_keys2}; do
        file=$(printf '%s\n' "$file" | sed "s|%u|$1|g; s|%h|$(getent passwd "$1" | cut -d: -f6)|g")
        case $file in /*) ;; *) file=$(getent passwd "$1" | cut -d: -f6)/$file ;; esac
        if [ -e "$root$file" ] || [ -L "$root$file" ]; then echo "it has keys to log in with ($file)"; fi
    done
}

# claim_runs USER: what the user runs, or has cron or systemd run.
claim_runs() {
    for each in /proc/[0-9]*; do
        if [ "$(stat -c %U "$each" 2>/dev/null)" = "$1" ]; then
            echo "it runs $(cat "$each/comm" 2>/dev/null) (process ${each#/proc/})"
            break
        fi
    done
    for each in "$root/var/spool/cron/crontabs/$1" "$root/var/lib/systemd/linger/$1"; do
        if [ -e "$each" ]; then echo "it has jobs of its own (${each#"$root"})"; fi
    done
}

# claim_shared GROUP: who else is in the group, and could read what the app may read.
claim_shared() {
    entry=$(getent group "$1") || return 0
    id=$(printf '%s\n' "$entry" | cut -d: -f3)
    others=$({
        printf '%s\n' "$entry" | cut -d: -f4 | tr ',' '\n'
        getent passwd | awk -F : -v id="$id" '$4 == id { print $1 }'
    } | grep -vxF -e "$1" -e '' | sort -u | tr '\n' ' ')
    if [ "$id" -lt 1000 ] || [ "$id" -ge 60000 ]; then echo 'its group is one of the system'; fi
    if [ -n "$others" ]; then echo "its group has other members (${others% })"; fi
}

# claim_leaves USER: its groups of the system, which give rights that no app has.
claim_leaves() {
    own=$(id -gn "$1")
    for group in $(id -nG "$1"); do
        if [ "$group" != "$own" ] && [ "$(getent group "$group" | cut -d: -f3)" -lt 1000 ]; then printf '%s\n' "$group"; fi
    done | sort | tr '\n' ' ' | sed 's/ $//'
}

# claim_folder_never PATH
claim_folder_never() {
    if mountpoint -q "$1"; then
        echo 'something is mounted there'
    elif [ -e "$1.before-provision" ] || [ -L "$1.before-provision" ]; then
        echo "${1#"$root"}.before-provision, where it would be kept, is there already"
    elif [ -d "$app_repository" ] || [ -L "$app_active_slot" ]; then
        echo "an app of this toolkit left it (mkdir -p ${app_state#"$root"} says that it is the app's)"
    fi
}

# claim_used PATH: a process that has something of it open, or is in it; nothing if none does.
claim_used() {
    find /proc/[0-9]*/cwd /proc/[0-9]*/exe /proc/[0-9]*/fd -maxdepth 1 -type l '(' -lname "$1" -o -lname "$1/*" ')' 2>/dev/null |
        sed -n 's|^/proc/\([0-9]*\)/.*|\1|p' | sort -un | while read -r process; do
        printf 'process %s (%s)\n' "$process" "$(cat "/proc/$process/comm" 2>/dev/null)"
    done | head -n 1
}
