# shellcheck shell=sh disable=SC2154

# In: NUMBER CONSOLE NETWORK. Out: console and network (the files' hashes), and kept=yes if it is known what they were.
notice_probe() {
    while IFS='	' read -r number console network; do
        printf '%s\tconsole=%s\tnetwork=%s\tkept=%s\n' "$number" "$(notice_hash "$console")" "$(notice_hash "$network")" \
            "$(if [ -d "$provision_notice" ]; then echo yes; fi)"
    done
}

notice_hash() { sha256sum <"$root$1" 2>/dev/null | cut -d ' ' -f 1; }

# notice_write CONSOLE NETWORK <text: what they were is kept before, once.
notice_write() {
    if [ ! -d "$provision_notice" ]; then
        rm -rf "$provision_notice.new"
        (umask 077 && mkdir -p "$provision_notice.new")
        for path; do if [ -e "$path" ] || [ -L "$path" ]; then cp -aT "$path" "$provision_notice.new/${path##*/}"; fi; done
        sync -f "$provision_notice.new"
        mv -T "$provision_notice.new" "$provision_notice"
    fi
    text=$(cat)
    for path; do printf '%s\n' "$text" | put "$path" root root 644; done
}

# notice_back CONSOLE NETWORK
notice_back() {
    for path; do
        kept=$provision_notice/${path##*/}
        if [ -e "$kept" ] || [ -L "$kept" ]; then
            cp -aT --remove-destination "$kept" "${path%/*}/.${path##*/}.provision-new"
            mv -fT "${path%/*}/.${path##*/}.provision-new" "$path"
        else
            rm -f "$path"
        fi
    done
    rm -rf "$provision_notice"
}
