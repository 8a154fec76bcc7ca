#!/bin/sh
# processes.sh USER RELEASES: the processes of a user, one a line: id, systemd unit, Supervisor program, release, ids of its line
# (itself, its group and its ancestors), command; separated by tabs, with nothing where there is none.
# A process's environment names its release; where the process has overwritten that, its folder under RELEASES does.
user=$(id -u "$1")
cd /proc || exit
grep -lE "^Uid:.*[[:space:]]$user([[:space:]]|$)" [0-9]*/status 2>/dev/null | cut -d/ -f1 | while read -r id; do
    unit=$(grep -oE '[^/]+\.(service|scope)' "$id/cgroup" | tail -n 1)
    said=$(tr '\0' '\n' <"$id/environ")
    program=$(printf '%s\n' "$said" | sed -n 's/^SUPERVISOR_PROCESS_NAME=//p' | head -n 1)
    release=$(printf '%s\n' "$said" | sed -n 's/^PROVISION_RELEASE=//p' | head -n 1)
    folder=$(readlink "$id/cwd")
    case $release$folder in "$2/"*) release=${folder#"$2/"} ;; esac
    line=$id one=$id
    while [ "${one:-0}" -gt 1 ]; do
        read -r one group <<END
$(sed -E 's/.*\) [A-Za-z] ([0-9]+) ([0-9]+) .*/\1 \2/' "$one/stat")
END
        if [ "$line" = "$id" ]; then line="$line $group"; fi
        line="$line $one"
    done
    command=$(tr '\0\t\n' '   ' <"$id/cmdline" | cut -c 1-80)
    if [ -n "$command" ]; then printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$id" "$unit" "$program" "${release%%[/ ]*}" "$line" "$command"; fi
done 2>/dev/null
