#!/bin/sh
# debian.sh FOLDER WORD...: mmdebstrap WORD..., which makes FOLDER. One error that a mirror answers (502, 503, 404) ends mmdebstrap:
# apt tries a broken connection again by itself, but not such an answer on a connection that stays open. So this tries three times.
set -u
folder=$1
shift
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for pause in 5 20 ''; do
    mmdebstrap "$@" >"$said" 2>&1
    status=$?
    cat "$said" >&2
    if [ "$status" = 0 ] || [ -z "$pause" ] || ! grep -q 'Failed to fetch' "$said"; then exit "$status"; fi
    echo "debian.sh: a package or an index could not be fetched; trying again in $pause s" >&2
    rm -rf --one-file-system "$folder"
    sleep "$pause"
done
