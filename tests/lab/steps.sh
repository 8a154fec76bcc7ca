#!/bin/sh
# Replaces a command on a test server, in /usr/local/sbin under the command's name. Calls by a run's change are logged; at
# the call that a test waits for, the run stops until the test lets it go on or kills it.
name=${0##*/} steps=/run/steps said=$(printf '%s' "$*" | tr '\n\t' '  ')
leader=$(cut -d' ' -f6 "/proc/$$/stat")
run=$(tr '\0' '\n' <"/proc/$leader/cmdline" | sed -n 's|\(/run/provision/runs/.*\)/script$|\1|p')

# A command that only asks is not a step.
asks() {
    case "$name $said" in
    systemctl\ is-* | systemctl\ show*) return 0 ;;
    *supervisor.sock*) case $method in get*) return 0 ;; esac ;;
    esac
    return 1
}

body='' method=''
case $name$said in
curl*supervisor.sock*)
    body=$(cat)
    method=$(printf '%s' "$body" | sed -n 's|.*<methodName>supervisor\.\(.*\)</methodName>.*|\1|p')
    said="$method $said"
    ;;
esac

if [ -n "$run" ] && [ -d "$steps" ] && ! asks; then
    change=$(grep '^begin' "$run/events" | tail -n 1 | cut -f3)
    step="$change	$name $said"
    # A wait repeats the same command: that is one step.
    if [ "$step" != "$(tail -n 1 "$steps/log")" ]; then
        printf '%s\n' "$step" >>"$steps/log"
        if [ "$(grep -c "^$(cat "$steps/change")" "$steps/log")" = "$(cat "$steps/number")" ]; then
            case $change in
            "$(cat "$steps/change")"*)
                printf '%s\n' "$step" >"$steps/reached"
                while [ ! -e "$steps/go" ]; do sleep 0.02; done
                ;;
            esac
        fi
    fi
fi

if [ -n "$body" ]; then
    printf '%s' "$body" | "/usr/bin/$name" "$@"
else
    exec "/usr/bin/$name" "$@"
fi
