# shellcheck shell=sh disable=SC2154

# In: NUMBER PATH COMMIT. Out: repository, the mirror's; empty if it lacks the commit.
git_probe_mirrors() {
    while IFS='	' read -r number path commit; do
        if [ -d "$path" ] && command -v git >/dev/null; then
            url=
            if git --git-dir="$path" cat-file -e "$commit^{commit}" 2>/dev/null; then
                url=$(git --git-dir="$path" config remote.origin.url)
            fi
            printf '%s\trepository=%s\n' "$number" "$url"
        fi
    done
}

# In: NUMBER PATH. Out: usable (yes or no) and access ("MODE OWNER:GROUP"), if there is a deploy key.
# ssh-keygen refuses a file that others may read, but not a pipe.
git_probe_keys() {
    while IFS='	' read -r number path; do
        if [ -f "$path" ]; then
            usable=yes
            if command -v ssh-keygen >/dev/null && [ -z "$(git_public_half "$path")" ]; then usable=no; fi
            printf '%s\tusable=%s\taccess=%s\n' "$number" "$usable" "$(stat -c '%a %U:%G' "$path")"
        fi
    done
}

# git_public_half PATH: its type and key, without the comment; nothing if it cannot be read.
# shellcheck disable=SC2002
git_public_half() { cat "$1" | ssh-keygen -y -P '' -f /dev/stdin 2>/dev/null | cut -d ' ' -f 1,2; }

# git_make_key APP PATH WHO REPOSITORY
git_make_key() {
    app=$1 path=$2 who=$3 repository=$4
    beside=$(mktemp -d "${path%/*}/.provision.XXXXXX")
    trap 'rm -rf "$beside"' EXIT
    ssh-keygen -q -t ed25519 -N '' -C "$who" -f "$beside/key"
    sync "$beside/key"
    mv -fT "$beside/key" "$path"
    sync "${path%/*}"
    notice "$app: add this deploy key at $repository (read-only is enough): $(git_public_half "$path") $who"
}

# git_over_ssh APP own|sent|agent|root WHO KNOWN_HOSTS DEPLOY_KEY git_mirror PATH REPOSITORY COMMIT [<private key]: with this key, and
# only if the host shows one of the pinned keys.
git_over_ssh() {
    app=$1 whose=$2 who=$3 known_hosts=$4 deploy_key=$5 key=
    shift 5
    export GIT_SSH_VARIANT=ssh GIT_SSH_COMMAND="ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 \
-o StrictHostKeyChecking=yes -o UserKnownHostsFile=$known_hosts -o GlobalKnownHostsFile=/dev/null \
-o CheckHostIP=no -o UpdateHostKeys=no"
    case $whose in
    own) key=$deploy_key ;;
    sent)
        rm -f "$provision_runtime"/deploy_key.*
        key=$(mktemp "$provision_runtime/deploy_key.XXXXXX")
        trap 'rm -f "$key"' EXIT
        cat >"$key"
        ;;
    agent)
        if [ -z "${SSH_AUTH_SOCK:-}" ]; then
            fail "$app: this server's sshd does not forward an SSH agent: set AllowAgentForwarding yes in its sshd_config, or use a deploy key"
        fi
        GIT_SSH_COMMAND="$GIT_SSH_COMMAND -o IdentityFile=none"
        ;;
    esac
    if [ -n "$key" ]; then GIT_SSH_COMMAND="$GIT_SSH_COMMAND -i $key -o IdentitiesOnly=yes -o IdentityAgent=none"; fi
    "$@" </dev/null
}

# git_mirror PATH REPOSITORY COMMIT
git_mirror() {
    path=$1 repository=$2 commit=$3
    export GIT_TERMINAL_PROMPT=0
    if ! git --git-dir="$path" rev-parse --git-dir >/dev/null 2>&1; then
        rm -rf "$path"
        git init --quiet --bare "$path"
    fi
    git --git-dir="$path" config remote.origin.url "$repository"
    said=$(git --git-dir="$path" fetch --quiet --prune origin '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' 2>&1) ||
        git_not_fetched "$repository"
    if ! git --git-dir="$path" cat-file -e "$commit^{commit}" 2>/dev/null; then
        git --git-dir="$path" fetch --quiet origin "$commit" || fail "$repository has no commit $commit: was it pushed?"
    fi
}

# git_not_fetched REPOSITORY: fail with one line about what git and ssh said. Reads said, and what git_over_ssh sets: app, whose,
# who and key; none of them without SSH.
git_not_fetched() {
    repository=$1
    said=$(printf '%s\n' "$said" | tr -d '\r')
    printf '%s\n' "$said" >&2
    if [ -z "${whose:-}" ]; then fail "the server cannot read $repository: is the address right, and may the server read it?"; fi
    case $said in
    *'Host key verification failed'*)
        shown=$(printf '%s\n' "$said" | sed -n 's/^\(SHA256:[^ ]*[^. ]\)\.\{0,1\}$/\1/p')
        fail "$app: the server is shown a host key${shown:+, $shown,} that is not pinned for $repository: where the host has a new one, pin it (source.host_key, or known_hosts on your machine); otherwise somebody is in between"
        ;;
    *'Permission denied'* | *'ERROR: '*) git_refused "$repository" ;;
    *'ssh: '* | *'Connection closed'* | *'Connection reset'* | *'kex_exchange_identification'* | *'Timeout, server'*)
        fail "$app: the server does not reach $repository ($(printf '%s\n' "$said" | head -n 1)): may it connect to that host and port?"
        ;;
    *'Could not read from remote repository'*) git_refused "$repository" ;;
    *) fail "$app: the server cannot fetch $repository: $(printf '%s\n' "$said" | tail -n 1)" ;;
    esac
}

# git_refused REPOSITORY: fail with one line about the key that was refused. Reads what git_over_ssh sets.
git_refused() {
    repository=$1
    case $whose in
    own) fail "$app: $repository refused the deploy key of this server; add it there (read-only is enough), then run again: $(git_public_half "$key") $who" ;;
    sent) fail "$app: $repository refused the key that deploy_key names; add its public half there (read-only is enough), then run again: $(git_public_half "$key")" ;;
    agent)
        status=0
        ssh-add -l >/dev/null 2>&1 || status=$?
        if [ "$status" = 2 ]; then
            fail "$app: the connection to your machine ended while $repository was fetched, and with it the SSH agent: run again"
        fi
        fail "$app: $repository refused the keys of your SSH agent: ssh-add the one that opens it, or add one of them there"
        ;;
    root) fail "$app: $repository refused the server's own keys: set source.deploy_key: generate, or source.forward_agent: true" ;;
    esac
}

# git_receive PATH COMMIT PACK: take in the commit that the controller sent.
git_receive() {
    path=$1 commit=$2 pack=$3
    trap 'rm -f "$pack"' EXIT
    if ! git --git-dir="$path" rev-parse --git-dir >/dev/null 2>&1; then
        rm -rf "$path"
        git init --quiet --bare "$path"
    fi
    git --git-dir="$path" config remote.origin.url pushed
    if ! said=$(git --git-dir="$path" index-pack --stdin --fix-thin <"$pack" 2>&1 >/dev/null); then
        printf '%s\n' "$said"
        case $said in
        *'No space left'* | *'quota exceeded'* | *'unable to write'*) fail "the commit $commit cannot be written to $path: $(room "$path"); make room there" ;;
        *) fail "the commit $commit did not arrive whole: run again" ;;
        esac
    fi
    git --git-dir="$path" cat-file -e "$commit^{commit}" || fail "the commit $commit did not arrive whole: run again"
    git --git-dir="$path" update-ref refs/provision/pushed "$commit"
}
