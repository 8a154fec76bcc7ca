# shellcheck shell=sh
# What is run as root for an nginx of which no process is root's.

# nginx_keys start|reload: copies of the certificates, for the group of nginx's unit alone, and what nginx cannot make itself.
nginx_keys() {
    umask 027
    # Where systemd starts it, the copies lie over what they are copies of, so it looks with the eyes of process 1.
    group=provision-nginx keys=/run/provision-nginx certificates=/proc/1/root/etc/ssl/provision
    install -d -m 750 -g "$group" "$keys"
    for from in "$certificates"/*/; do
        if [ ! -e "${from}privkey.pem" ] || [ ! -e "${from}fullchain.pem" ]; then continue; fi
        to=${from%/} to=$keys/${to##*/}
        install -d -m 750 -g "$group" "$to"
        for part in fullchain privkey; do
            cat "$from$part.pem" >"$to/.$part"
            chgrp "$group" "$to/.$part"
            mv -f "$to/.$part" "$to/$part.pem"
        done
    done
    for to in "$keys"/*/; do
        from=${to%/} from=$certificates/${from##*/}
        if [ ! -e "$from/privkey.pem" ]; then rm -rf "$to"; fi
    done
    for folder in $(cat /etc/nginx/sites-enabled/zz-*.conf 2>/dev/null | sed -n 's|^proxy_cache_path \(/var/lib/nginx/[a-z0-9-]*\) .*|\1|p') \
        /var/lib/nginx/body /var/lib/nginx/fastcgi /var/lib/nginx/proxy /var/lib/nginx/scgi /var/lib/nginx/uwsgi; do
        if [ ! -e "$folder" ]; then install -d -m 700 -o www-data "$folder"; fi
    done
    for log in /var/log/nginx/access.log /var/log/nginx/error.log; do
        if [ ! -e "$log" ]; then install -m 640 -o www-data -g adm /dev/null "$log"; elif [ -f "$log" ] && [ ! -L "$log" ]; then chown -h www-data:adm "$log"; fi
    done
    if [ "$1" = start ]; then install -m 644 -o www-data -g www-data /dev/null /run/nginx.pid; fi
}
