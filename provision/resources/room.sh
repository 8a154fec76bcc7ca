# shellcheck shell=sh disable=SC2154

# In: NUMBER "PATH PATH...". Out: a record for each path, or for the nearest folder above that exists: path, at (where its filesystem is
# mounted), free (KiB), inodes (that are free; - where the filesystem does not count them), and options (of the mount). One df for all.
room_probe() {
    IFS='	' read -r number paths || return 0
    places=
    for path in $paths; do
        place=$root$path
        while [ ! -e "${place:-/}" ]; do place=${place%/*}; done
        places="$places ${place:-/}"
    done
    # shellcheck disable=SC2086 # the paths are words
    df --output=avail,iavail,itotal,target -- $places | sed 1d | awk -v number="$number" -v paths="$paths" -v OFS='\t' '
        BEGIN { split(paths, path, " ") }
        NR == FNR { options[$2] = $4; next }
        { print number, "path=" path[++count], "at=" $4, "free=" $1, "inodes=" ($3 == "0" || $3 == "-" ? "-" : $2), "options=" options[$4] }
    ' /proc/self/mounts -
}
