# shellcheck shell=sh

# parts_together FUNCTION...: call them all at once; the lines of each stay together, as they are printed when those after it have
# ended.
parts_together() {
    first=$1
    shift
    if [ $# = 0 ]; then
        "$first"
    else
        "$first" | {
            others=$(parts_together "$@")
            cat
            printf '%s\n' "$others"
        }
    fi
}
