# shellcheck shell=sh disable=SC2154
# Where apt has its packages from.

# sources_known: fields of records, a line each, of what apt knows without a network: unparsed (why it cannot read its own list of sources);
# and if it has read any source, unread for each that it has nothing of, and outdated for each of which it has what had expired when it
# last tried to read it again.
sources_known() {
    if ! said=$(apt-get --print-uris update 2>&1); then
        printf 'unparsed=%s\n' "$(printf '%s\n' "$said" | sed -n 's/^E: //p' | head -n 1 | tr '\t' ' ')"
        return 0
    fi
    printf '%s\n' "$said" | sed -n "s|^'\(http[^']*\)/dists/\([^']*\)/InRelease' \([^ /]*\) .*|\3 \1 \2|p" | while read -r index source; do
        kept=$root/var/lib/apt/lists/$index
        if [ ! -e "$kept" ]; then kept=${kept%InRelease}Release; fi
        if [ ! -e "$kept" ]; then
            printf 'unread=%s\n' "$source"
        elif sources_had_expired "$kept"; then
            printf 'outdated=%s\n' "$source"
        else
            echo read
        fi
    done | awk '$0 == "read" { any = 1; next } /^outdated/ { any = 1 } { found[++count] = $0 } END { if (any) for (i = 1; i <= count; i++) print found[i] }'
}

# sources_had_expired FILE: whether a Release file was valid no more when apt last tried to read its sources.
sources_had_expired() {
    until=$(sed -n '/^[^ ]*-----BEGIN PGP SIGNATURE/q; s/^Valid-Until: //p' "$1" | head -n 1)
    if [ -z "$until" ]; then return 1; fi
    until=$(date -d "$until" +%s 2>/dev/null) && [ "$until" -lt "$(stat -c %Y "$root/var/lib/apt/lists/partial" 2>/dev/null || echo 0)" ]
}

# In: NUMBER. Out: count (of the sources), unparsed (why apt cannot read its list of them), slow (seconds in which they did not all
# answer), and source and said, for each that cannot be read now.
sources_probe() {
    read -r number || return 0
    folder=$(mktemp -d "$root/run/provision-sources.XXXXXX") || return 0
    (
        trap 'rm -rf "$folder"' EXIT
        sources_ask "$folder" | sed "s/^/$number	/"
    )
}

# sources_ask FOLDER: apt reads its sources again, and keeps what it reads in this folder: what each source signs, and none of its packages.
# Nothing else that an update does is done.
sources_ask() {
    sources_known | grep '^unparsed=' && return 0
    chmod 755 "$1"
    mkdir -m 755 "$1/lists"
    cat >"$1/apt.conf" <<END_OF_CONFIGURATION
#clear Acquire::IndexTargets;
#clear APT::Update;
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Timeout "5";
Acquire::https::Timeout "5";
Dir::State::Lists "$1/lists";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END_OF_CONFIGURATION
    printf 'count=%s\n' "$(apt-get --print-uris update | grep -c "/InRelease' ")"
    status=0
    timeout 30 apt-get -q -c "$1/apt.conf" update >"$1/said" 2>&1 || status=$?
    if [ "$status" = 124 ]; then echo slow=30; fi
    sources_unread <"$1/said"
}

# sources_unread <WHAT APT SAID: source and said, a line each, once for each source.
sources_unread() {
    awk -v OFS='\t' '
        function unread(source, why) { if (!(source in known)) { known[source] = 1; print "source=" source, "said=" why } }
        { gsub(/\t/, " ") }
        /^Err:/ { source = $2 " " $3; next }
        source { sub(/^ +/, ""); unread(source, $0); source = "" }
        /^[EW]: / {
            count = split($0, quoted, "\047")
            split(quoted[2], words, " ")
            if ($0 ~ /is not signed/) unread(words[1] " " words[2], "it is not signed")
            if ($0 ~ /does not have a Release file/) unread(words[1] " " words[2], "it has no Release file")
            if (match($0, /Release file for [^ ]* is (expired|not valid yet)/)) {
                split(substr($0, RSTART, RLENGTH), words, " ")
                place = words[4]
                sub(/\/[^\/]*$/, "", place)
                sub(/\/dists\//, " ", place)
                why = substr($0, RSTART, RLENGTH)
                sub(/.* is /, "its Release file is ", why)
                unread(place, why)
            }
        }'
}
