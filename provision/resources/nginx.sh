# shellcheck shell=sh disable=SC2154
# What nginx on a server reads: its configuration is followed from file to file, and never run.
nginx_folder=$root/etc/nginx
# What nginx reads before and after this path, it reads before and after each of our sites.
nginx_ours=$nginx_folder/sites-enabled/zz-.conf

# nginx_facts: out, in the order in which nginx reads them:
#   nginx present=yes       there is a nginx.conf
#   nginx reads=yes         here it reads our sites
#   nginx bucket=FILE       a file that sets server_names_hash_bucket_size
#   nginx tells=FILE        a site of ours that says from which release it answers
#   nginx stranger=USER     as whom nginx runs, who is not in the group of the apps' sockets
#   nginx server=FILE owner=provision|other|stock context=http|stream|mail listens=WORDS|WORDS... names=NAMES
# and for each file in the place of one of ours that somebody else wrote: nginx foreign=FILE, and for each link to a site of ours:
# nginx link=FILE.
nginx_facts() {
    if [ ! -f "$nginx_folder/nginx.conf" ]; then return 0; fi
    printf 'nginx\tpresent=yes\n'
    nginx_follow "$nginx_folder/nginx.conf" '' 0 | nginx_servers
    for file in "$nginx_folder"/sites-available/*.conf "$nginx_folder"/sites-enabled/*.conf; do
        if [ ! -e "$file" ] && [ ! -L "$file" ]; then continue; fi
        case $(nginx_owner "$file"),$file in
        provision,*/sites-enabled/*)
            printf 'nginx\tlink=%s\n' "${file#"$root"}"
            # shellcheck disable=SC2016 # nginx's own variable
            if grep -qsF 'x_provision_asks,$realpath_root' "$file"; then printf 'nginx\ttells=%s\n' "${file#"$root"}"; fi
            ;;
        other,*) printf 'nginx\tforeign=%s\n' "${file#"$root"}" ;;
        esac
    done
}

# nginx_owner FILE: provision (it says so, nginx was last loaded with it, it is or has a link as only ours are, or a run was killed
# while it wrote it), stock (the site that the package brought, as it came), or other.
nginx_owner() {
    case $1 in "$nginx_folder"/sites-*) ;; *) echo other && return 0 ;; esac
    if [ -f "$1" ] && grep -q '^#.*Written by provision\.$' "$1"; then
        echo provision
    elif grep -qsF "${1#"$root"} " "$provision_stamps/nginx" || nginx_begun "$1" || nginx_linked "$1"; then
        echo provision
    elif [ "$1" = "$nginx_folder/sites-enabled/default" ] && [ -f "$1" ] && nginx_shipped "$1"; then
        echo stock
    else
        echo other
    fi
}

# nginx_begun FILE: whether a run was killed when it had written it. What it had not come to is what it was before.
nginx_begun() {
    kept=$provision_before/nginx/tree${1#"$root"}
    if ! grep -qsxF "${1#"$root"}" "$provision_before/nginx/paths"; then return 1; fi
    if [ -L "$1" ]; then [ "$(readlink "$1")" != "$(readlink "$kept")" ]; else ! cmp -s "$1" "$kept"; fi
}

# nginx_linked FILE: a site of ours may have been written by a project's own template, which says nothing.
nginx_linked() {
    case $1 in
    */sites-enabled/zz-* | */sites-enabled/000-default.conf) link=${1##*/} ;;
    */sites-available/000-default.conf) link=000-default.conf ;;
    */sites-available/*) link=zz-${1##*/} ;;
    *) return 1 ;;
    esac
    [ "$(readlink "$nginx_folder/sites-enabled/$link")" = "../sites-available/${link#zz-}" ]
}

# nginx_shipped FILE: whether it is as a package brought it.
nginx_shipped() {
    # shellcheck disable=SC2016 # dpkg-query's own variables
    dpkg-query -W -f '${Conffiles}\n' 'nginx*' 2>/dev/null |
        grep -qF " /etc/nginx/sites-available/default $(md5sum <"$1" | cut -c 1-32)"
}

# nginx_follow FILE CONTEXT DEPTH: the events of a file and of those that it includes, in the order in which nginx reads them. What is
# ours includes nothing that is looked for.
nginx_follow() {
    if [ ! -f "$1" ] || [ "$3" -gt 8 ]; then return 0; fi
    set -- "$1" "$2" "$3" "$(nginx_owner "$1")"
    name=${1#"$root"}
    case $name in *[[:cntrl:]]*) name=$(printf '%s' "$name" | tr '[:cntrl:]' ' ') ;; esac
    printf 'file\t%s\t%s\n' "$4" "$name"
    head -c 1048576 "$1" | nginx_words "$2" | while IFS= read -r event; do
        case $event in
        'include	'*'	'*mime.types) ;;
        'include	'*)
            if [ "$4" = provision ]; then continue; fi
            context=${event#include	}
            nginx_include "${context#*	}" "${context%%	*}" "$(($3 + 1))"
            ;;
        'user	'*) nginx_user "${event#user	}" ;;
        *) printf '%s\n' "$event" ;;
        esac
    done
    printf 'end of file\n'
}

# nginx_user USER: tells of one that cannot open the sockets. One that is not there is nginx's own error.
nginx_user() {
    case $1 in root | -*) return 0 ;; esac
    groups=$(id -nG "$1" 2>/dev/null) || return 0
    case " $groups " in *' www-data '*) ;; *) printf 'stranger\t%s\n' "$1" ;; esac
}

# nginx_include PATTERN CONTEXT DEPTH
nginx_include() (
    pattern=$1
    case $pattern in /*) pattern=$root$pattern ;; *) pattern=$nginx_folder/$pattern ;; esac
    IFS=
    {
        # shellcheck disable=SC2254 # they are patterns
        case $2,${nginx_ours%/*} in http,${pattern%/*}) case ${nginx_ours##*/} in ${pattern##*/}) printf '%s\n' "$nginx_ours" ;; esac ;; esac
        for each in $pattern; do printf '%s\n' "$each"; done
    } | sort -u | while IFS= read -r each; do
        if [ "$each" = "$nginx_ours" ]; then printf 'reads\n'; else nginx_follow "$each" "$2" "$3"; fi
    done
)

# nginx_words CONTEXT <configuration: its events: include (context, pattern), user, bucket, open (context), listen, name, close.
nginx_words() {
    awk -v context="$1" -v served='^(http|stream|mail) server$' '
        function statement(end,    first, i, text) {
            first = word[1]
            for (i = 2; i <= count; i++) text = text (i > 2 ? " " : "") word[i]
            gsub(/[\t|]/, " ", text)
            if (end == "{") {
                if (first ~ /_by_lua_block$/) { lua = 1 }
                stack[++depth] = context
                context = context (context == "" ? "" : " ") first
                if (context ~ served) print "open\t" substr(context, 1, index(context, " ") - 1)
            } else if (end == "}") {
                if (context ~ served) print "close"
                if (depth) context = stack[depth--]
            } else if (first == "include") print "include\t" context "\t" text
            else if (context == "" && first == "user") print "user\t" word[2]
            else if (first == "server_names_hash_bucket_size") print "bucket"
            else if (context ~ served && first == "listen") print "listen\t" text
            else if (context ~ served && first == "server_name") print "name\t" tolower(text)
            count = 0
        }
        function finish() { if (inside) word[++count] = token; token = ""; inside = 0 }
        {
            line = $0 "\n"
            for (i = 1; i <= length(line); i++) {
                c = substr(line, i, 1)
                if (lua) { lua += (c == "{") - (c == "}"); if (!lua) { statement("}") } continue }
                if (quote != "") {
                    if (c == "\\") { token = token substr(line, ++i, 1) } else if (c == quote) { quote = "" } else { token = token c }
                    continue
                }
                if (brace) { token = token c; if (c == "}") brace = 0; continue }
                if (c == "#" && !inside) break
                if (c ~ /[ \t\r\n]/) finish()
                else if (c == "{" && inside && substr(token, length(token)) == "$") { brace = 1; token = token c }
                else if (c ~ /[;{}]/) { finish(); statement(c) }
                else if ((c == "\"" || c == "\047") && !inside) { quote = c; inside = 1 }
                else if (match(substr(line, i), /^[A-Za-z0-9_.\/:*=,-]+/)) { token = token substr(line, i, RLENGTH); i += RLENGTH - 1; inside = 1 }
                else if (c == "\\") { token = token c substr(line, ++i, 1); inside = 1 }
                else { token = token c; inside = 1 }
            }
        }'
}

# nginx_servers <events: the records of them.
nginx_servers() {
    awk -F '\t' -v OFS='\t' '
        $1 == "file" { file[++depth] = $3; owner[depth] = $2 }
        $1 == "end of file" { depth-- }
        $1 == "reads" { print "nginx", "reads=yes" }
        $1 == "stranger" { print "nginx", "stranger=" $2 }
        $1 == "bucket" { print "nginx", "bucket=" file[depth] }
        $1 == "open" { at = depth; context = $2; listens = names = "" }
        $1 == "listen" { listens = listens (listens == "" ? "" : "|") $2 }
        $1 == "name" { names = names " " $2 }
        $1 == "close" && at { print "nginx", "server=" file[at], "owner=" owner[at], "context=" context, "listens=" listens, "names=" names; at = 0 }'
}
