# shellcheck shell=sh disable=SC2154
# A change to how this server is reached. What was there before is kept, with a program that puts it back; that runs after a while, at
# a boot, and when the change fails. A new login, which gives the change's token, disarms it. Whoever renames the program first decides.

# access_begin SECONDS AFTERWARDS PATH...: from here on, all of it is undone, unless it is confirmed. The program comes last: it is the mark.
access_begin() {
    if [ -e "$provision_access_undo" ]; then fail "the server is about to take back an earlier change to its access: run again in a minute"; fi
    seconds=$1 afterwards=$2
    shift 2
    rm -rf "$provision_access"
    mkdir -p "$provision_access/tree"
    for path; do
        mkdir -p "$provision_access/tree${path%/*}"
        if [ -e "$path" ] || [ -L "$path" ]; then cp -aT "$path" "$provision_access/tree$path"; fi
        printf '%s\n' "$path" >>"$provision_access/paths"
    done
    printf '%s\n' "$afterwards" >"$provision_access/afterwards"
    token=$(tr -d - </proc/sys/kernel/random/uuid)
    printf '%s\n' "$token" >"$provision_access/token"
    access_unit
    sync -f "$provision_access"
    access_program | put "$provision_access_undo" root root 600
    systemd-run --quiet --collect --unit=provision-access-timer --on-active="$seconds" --timer-property=AccuracySec=100ms \
        systemctl start provision-access.service
    trap access_failed EXIT
}

# access_unit: what runs the program, also before sshd starts at a boot.
access_unit() {
    put "$provision_access_unit" root root 644 <<END_OF_UNIT
[Unit]
Description=provision: take back a change to this server's access that no login confirmed
Before=ssh.service ssh.socket sshd.service nftables.service provision-firewall.service
ConditionPathExists=$provision_access_undo

[Service]
Type=oneshot
ExecStart=/bin/sh $provision_access_undo
END_OF_UNIT
    mkdir -p "${provision_access_at_boot%/*}"
    point "$provision_access_at_boot" "$provision_access_unit"
    systemctl daemon-reload
}

# access_program: what puts back what was kept. It can be ended at any time and run again. A confirmation moves it away.
access_program() {
    cat <<END_OF_PROGRAM
kept=$provision_access generation=$provision_generation unit=$provision_access_unit at_boot=$provision_access_at_boot
END_OF_PROGRAM
    cat <<'END_OF_PROGRAM'
exec 8>"$kept/deciding"
flock 8
if [ -e "$kept/confirmed" ]; then exit 0; fi
echo taken >"$kept/taken"
sync "$kept"
while read -r path; do
    beside=${path%/*}/.${path##*/}.provision-new
    rm -rf "$beside"
    if [ -e "$kept/tree$path" ] || [ -L "$kept/tree$path" ]; then
        cp -aT "$kept/tree$path" "$beside"
        if [ -d "$beside" ] && [ ! -L "$beside" ]; then rm -rf "$path"; fi
        mv -fT "$beside" "$path"
    else
        rm -rf "$path"
    fi
    sync "${path%/*}"
done <"$kept/paths"
sh -c "$(cat "$kept/afterwards")" || true
echo "access $(cat "$kept/token")" >"$generation"
rm -f "$kept/undo" "$at_boot" "$unit"
rm -rf "$kept/tree"
END_OF_PROGRAM
}

# access_clear: nothing is left to take back.
access_clear() {
    rm -f "$provision_access_undo" "$provision_access_at_boot" "$provision_access_unit"
    rm -rf "$provision_access/tree"
    sync "$provision_access"
    systemctl stop provision-access-timer.timer 2>/dev/null || true
}

# access_confirm TOKEN: whoever runs this has logged in since.
access_confirm() {
    if [ "$(cat "$provision_access/token" 2>/dev/null)" != "$1" ]; then exit 1; fi
    exec 8>"$provision_access/deciding"
    flock -w 10 8 || exit 1
    if [ -e "$provision_access/taken" ]; then exit 1; fi
    echo confirmed >"$provision_access/confirmed"
    sync "$provision_access"
    access_clear
    exec 8>&-
}

# access_failed: a change that fails is taken back at once.
access_failed() {
    if [ -e "$provision_access/confirmed" ]; then return 0; fi
    if [ -e "$provision_access_undo" ]; then sh "$provision_access_undo"; fi
    access_clear
    rm -rf "$provision_access"
}

# access_await: ask the controller for a new login, and wait for it or for the end of the time.
access_await() {
    run_event "asks	$changing	$token $seconds"
    while [ -e "$provision_access_undo" ]; do sleep 0.1; done
    if [ ! -e "$provision_access/confirmed" ]; then
        fail "no new login succeeded within $seconds s of this change, so the server took it back: nobody is locked out"
    fi
    rm -rf "$provision_access"
    trap - EXIT
}
