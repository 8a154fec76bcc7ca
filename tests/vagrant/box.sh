#!/bin/sh
# box.sh FOLDER KEY [SOURCE...]: makes FOLDER/debian.box, a Debian box for Vagrant's libvirt provider.
# KEY is the public key for Vagrant's first login; each SOURCE is a line of apt's sources.
# The box has no boot loader: its kernel and initrd lie beside the disk. If a step fails, its last lines of output are printed.
set -eu
folder=$1 key=$2
shift 2
suite=bookworm
root=$folder/root
debian=$(dirname "$0")/../../provision/lab/debian.sh
log=$folder/log
packages=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,ca-certificates,iproute2,netbase,procps
packages=$packages,linux-image-cloud-amd64,initramfs-tools
# The box trusts what this machine's programs trust, for package indexes behind a private authority.
authorities=/usr/local/share/ca-certificates
lines=60
step=

# begin NAME: from here on, output belongs to this step.
begin() {
    step=$1
    : >"$log"
}

# Runs at the end of the script.
end() {
    status=$?
    if [ "$status" != 0 ]; then
        echo "box.sh: $step failed with status $status; the last lines of its output:"
        tail -n "$lines" "$log"
    fi >&3
}

# mmdebstrap passes the root that it makes to its hooks as $1. Not --quiet: that drops apt's own output when apt fails.
# MODULES=list makes an initrd with only what a VM needs: unpacking a large one is slow in software emulation.
install_debian() {
    trust=
    if [ -d "$authorities" ]; then trust="--customize-hook=sync-in $authorities $authorities"; fi
    # shellcheck disable=SC2016
    sh "$debian" "$root" --mode=root --variant=minbase --include="$packages" \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
        --essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/list"' \
        --essential-hook='printf "%s\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"' \
        ${trust:+"$trust"} \
        --customize-hook='chroot "$1" update-ca-certificates' \
        "$suite" "$root" "$@"
}

add_user() {
    chroot "$root" useradd --create-home --shell /bin/bash vagrant
    echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
    chmod 0440 "$root/etc/sudoers.d/vagrant"
    mkdir -m 0700 "$root/home/vagrant/.ssh"
    install -m 0600 "$key" "$root/home/vagrant/.ssh/authorized_keys"
    chroot "$root" chown -R vagrant:vagrant /home/vagrant/.ssh
}

configure() {
    printf '%s\n' '[Match]' 'Type=ether' '[Network]' 'DHCP=ipv4' '[DHCPv4]' 'ClientIdentifier=mac' \
        >"$root/etc/systemd/network/ether.network"
    printf '%s\n' '[Unit]' 'Before=ssh.service' 'ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key' \
        '[Service]' 'Type=oneshot' 'ExecStart=/usr/bin/ssh-keygen -A' '[Install]' 'WantedBy=ssh.service' \
        >"$root/etc/systemd/system/ssh-host-keys.service"
    chroot "$root" systemctl --quiet enable systemd-networkd.service ssh-host-keys.service
    # apt's timers take apt's lock at moments of their own choice, soon after a boot.
    chroot "$root" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer
    echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
    echo 127.0.0.1 localhost >"$root/etc/hosts"
    echo debian >"$root/etc/hostname"
    : >"$root/etc/machine-id"
    rm -rf "$root"/etc/ssh/ssh_host_*_key* "$root/var/lib/apt/lists" "$root"/var/cache/apt/archives/*.deb
}

pack() {
    mkdir "$folder/box"
    cp -L "$root/vmlinuz" "$root/initrd.img" "$folder/box"
    mke2fs -q -t ext4 -d "$root" "$folder/disk.raw" 6G
    qemu-img convert -O qcow2 "$folder/disk.raw" "$folder/box/box.img"
    echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 6}' >"$folder/box/metadata.json"
    cat >"$folder/box/Vagrantfile" <<'END'
Vagrant.configure("2") do |config|
  config.vm.provider "libvirt" do |vm|
    vm.kernel = File.join(__dir__, "vmlinuz")
    vm.initrd = File.join(__dir__, "initrd.img")
    vm.cmd_line = "root=/dev/vda rw console=ttyS0"
  end
end
END
    tar -C "$folder/box" -czf "$folder/debian.box" .
    rm -rf "$root" "$folder/disk.raw" "$folder/box" "$log"
}

mkdir -p "$folder"
exec 3>&2 >>"$log" 2>&1
trap end EXIT
begin "installing Debian (mmdebstrap)"
install_debian "$@"
begin "adding the user vagrant"
add_user
begin "configuring the system"
configure
begin "packing the box"
pack
