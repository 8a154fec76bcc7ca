#!/bin/sh
# box.sh FOLDER KEY [SOURCE...]: a Debian box for Vagrant's libvirt provider, from Debian's packages alone.
# It leaves FOLDER/debian.box. The box has no boot loader: its kernel lies in it, beside the disk.
# KEY is the public key that Vagrant logs in with at first; the SOURCEs are lines for apt.
set -eu
folder=$1 key=$2
shift 2
suite=bookworm
root=$folder/root
packages=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,ca-certificates,iproute2,netbase,procps
packages=$packages,linux-image-cloud-amd64,initramfs-tools

# What the machine's own programs trust, the box does too: package indexes may be behind a private authority.
authorities=/usr/local/share/ca-certificates
mkdir -p "$folder" "$authorities"

# The hooks' $1 is the root that mmdebstrap makes.
# An initrd with no more than a virtual machine needs is small: unpacking a large one takes long in software emulation.
# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
    --essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/list"' \
    --essential-hook='printf "%s\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"' \
    --customize-hook="sync-in $authorities $authorities" \
    --customize-hook='chroot "$1" update-ca-certificates' \
    "$suite" "$root" "$@" 2>"$folder/mmdebstrap.log" >&2 || { tail -n 5 "$folder/mmdebstrap.log" >&2; exit 1; }

chroot "$root" useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
chmod 0440 "$root/etc/sudoers.d/vagrant"
mkdir -m 0700 "$root/home/vagrant/.ssh"
install -m 0600 "$key" "$root/home/vagrant/.ssh/authorized_keys"
chroot "$root" chown -R vagrant:vagrant /home/vagrant/.ssh

printf '%s\n' '[Match]' 'Type=ether' '[Network]' 'DHCP=ipv4' '[DHCPv4]' 'ClientIdentifier=mac' \
    >"$root/etc/systemd/network/ether.network"
printf '%s\n' '[Unit]' 'Before=ssh.service' 'ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key' \
    '[Service]' 'Type=oneshot' 'ExecStart=/usr/bin/ssh-keygen -A' '[Install]' 'WantedBy=ssh.service' \
    >"$root/etc/systemd/system/ssh-host-keys.service"
chroot "$root" systemctl --quiet enable systemd-networkd.service ssh-host-keys.service
# apt's timers hold apt's lock at moments of their own choice, soon after a boot.
chroot "$root" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer
echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
echo 127.0.0.1 localhost >"$root/etc/hosts"
echo debian >"$root/etc/hostname"
: >"$root/etc/machine-id"
rm -rf "$root"/etc/ssh/ssh_host_*_key* "$root/var/lib/apt/lists" "$root"/var/cache/apt/archives/*.deb

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
rm -rf "$root" "$folder/disk.raw" "$folder/box"
