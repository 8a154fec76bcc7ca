# shellcheck shell=sh

# In: NUMBER PATH COMMIT. Out: NUMBER URL, or NUMBER and nothing where the mirror lacks the commit.
probe_mirrors() {
    while IFS='	' read -r number path commit; do
        if [ -d "$path" ] && command -v git >/dev/null; then
            url=
            if git --git-dir="$path" cat-file -e "$commit^{commit}" 2>/dev/null; then
                url=$(git --git-dir="$path" config remote.origin.url)
            fi
            printf '%s\t%s\n' "$number" "$url"
        fi
    done
}

# mirror PATH REPOSITORY COMMIT
mirror() {
    export GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=20'
    if ! git --git-dir="$1" rev-parse --git-dir >/dev/null 2>&1; then
        rm -rf "$1"
        git init --quiet --bare "$1"
    fi
    git --git-dir="$1" config remote.origin.url "$2"
    git --git-dir="$1" fetch --quiet --prune origin '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' ||
        fail "the server cannot read $2: is the address right, and may the server read it?"
    if ! git --git-dir="$1" cat-file -e "$3^{commit}" 2>/dev/null; then
        git --git-dir="$1" fetch --quiet origin "$3" || fail "$2 has no commit $3: was it pushed?"
    fi
}

# receive PATH COMMIT PACK: the commit that the controller sent.
receive() {
    pack=$3
    trap 'rm -f "$pack"' EXIT
    if ! git --git-dir="$1" rev-parse --git-dir >/dev/null 2>&1; then
        rm -rf "$1"
        git init --quiet --bare "$1"
    fi
    git --git-dir="$1" config remote.origin.url pushed
    git --git-dir="$1" index-pack --stdin --fix-thin <"$3" >/dev/null || fail "the commit $2 did not arrive whole: run again"
    git --git-dir="$1" cat-file -e "$2^{commit}" || fail "the commit $2 did not arrive whole: run again"
    git --git-dir="$1" update-ref refs/provision/pushed "$2"
}
