#!/bin/sh
# Stands in for a command on a test server, in /usr/local/sbin under that command's name: where a run's change calls it, the
# call is noted, and at the one that a test waits for, the run stands still until the test lets it go on or ends it.
name=${0##*/} steps=/run/steps said=$(printf '%s' "$*" | tr '\n\t' '  ')
leader=$(cut -d' ' -f6 "/proc/$$/stat")
run=$(tr '\0' '\n' <"/proc/$leader/cmdline" | sed -n 's|\(/run/provision/runs/.*\)/script$|\1|p')

# What only asks is no step.
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
    # Waiting asks the same again and again: one step.
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
