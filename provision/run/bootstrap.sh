# shellcheck shell=sh
# First contact: whoever is root for now lets the inventory's user in, with keys and with sudo. Each line that is printed says what was done.

# bootstrap_login USER KEYS new|any
bootstrap_login() {
    user=$1 keys=$2
    if [ "$3" = new ] && [ -e /var/lib/provision ]; then
        echo "this server is not new, so nothing was changed: where $user is to be let in again, use invoke bootstrap" >&2
        exit 1
    fi
    umask 022
    if ! getent passwd "$user" >/dev/null; then
        useradd --create-home --shell /bin/bash "$user"
        echo "made the user $user"
    fi
    bootstrap_keys
    if [ "$(id -u "$user")" != 0 ]; then bootstrap_sudo; fi
}

# bootstrap_as_user WORD...
bootstrap_as_user() { setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"; }

# bootstrap_keys: add those that are missing. The home is the user's, so it is the user who reads and writes there.
bootstrap_keys() {
    folder=$(getent passwd "$user" | cut -d: -f6)/.ssh
    present=$(bootstrap_as_user cat "$folder/authorized_keys" 2>/dev/null || true)
    missing=$(printf '%s\n' "$keys" | while read -r type key comment; do
        if ! printf '%s\n' "$present" | grep -qF -e "$type $key"; then printf '%s %s %s\n' "$type" "$key" "$comment"; fi
    done)
    if [ -z "$missing" ]; then return 0; fi
    umask 077
    bootstrap_as_user mkdir -p "$folder"
    # The last line of before may have no end.
    printf '%s%s\n' "${present:+
}" "$missing" | bootstrap_as_user tee -a "$folder/authorized_keys" >/dev/null
    umask 022
    echo "added $(printf '%s\n' "$missing" | wc -l) of the given keys to $folder/authorized_keys"
}

# bootstrap_sudo: unless the user has it already. sudo passes over files with a dot in their names.
bootstrap_sudo() {
    if ! command -v sudo >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q -o DPkg::Lock::Timeout=600 update >&2
        apt-get -q -y -o DPkg::Lock::Timeout=600 install sudo >&2
        echo "installed sudo"
    fi
    if bootstrap_as_user sudo -n true 2>/dev/null; then return 0; fi
    rules=/etc/sudoers.d/provision-$(printf '%s' "$user" | tr . _)
    beside=$(mktemp /etc/sudoers.d/.provision.XXXXXX)
    printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$user" >"$beside"
    chmod 440 "$beside"
    if ! visudo -cqf "$beside" >&2; then
        rm -f "$beside"
        echo "visudo refused the rule for $user" >&2
        exit 1
    fi
    mv "$beside" "$rules"
    if ! visudo -cq >&2; then
        rm -f "$rules"
        echo "visudo refuses the server's own sudoers, so nothing was added to them: correct them first" >&2
        exit 1
    fi
    echo "let $user use sudo ($rules)"
}
