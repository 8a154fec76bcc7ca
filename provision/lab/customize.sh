#!/bin/sh
# Run once in a fresh base image. The servers' own names, keys and addresses come later, from outside.
set -eu

if [ -e /proc/self ]; then
    echo "customize.sh is for a new image's root, not for a running system" >&2
    exit 1
fi

update-ca-certificates

useradd --create-home --shell /bin/bash admin
useradd --create-home --shell /bin/bash --groups sudo ops
echo 'admin ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
chmod 0440 /etc/sudoers.d/admin

systemctl enable systemd-networkd.service

# The only deviation from Debian's defaults: apt's timers take apt's lock some minutes after a boot, which would make tests
# fail now and then. They are disabled, not masked, so a role can enable them.
systemctl disable apt-daily.timer apt-daily-upgrade.timer

rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /etc/hostname /etc/resolv.conf
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/apt /var/log/dpkg.log
: >/etc/machine-id
