# Takes away what others know a guest by besides host keys: seeds of random numbers, and what it shows to DHCP servers. Paths are below the
# present directory; follows emptying.sh.
gone etc/hostid etc/iscsi/initiatorname.iscsi etc/udev/rules.d/70-persistent-net.rules
gone var/lib/systemd/random-seed var/lib/seedrng var/lib/misc/random-seed var/lib/random-seed \
  var/lib/urandom/random-seed boot/loader/random-seed efi/loader/random-seed boot/efi/loader/random-seed entropy boot/entropy
emptied var/db/entropy var/lib/dhcp var/lib/dhcp3 var/lib/dhclient var/lib/dhcpcd var/lib/dhcpcd5 var/db/dhcpcd var/lib/udhcpc var/lib/systemd/network
gone etc/dhcpcd.duid etc/dhcpcd.secret var/db/dhclient.leases.* var/lib/NetworkManager/secret_key var/lib/NetworkManager/*lease* \
  var/lib/NetworkManager/timestamps var/lib/NetworkManager/seen-bssids
for file in etc/sysconfig/network-scripts/ifcfg-*; do edit "$file" '/^HWADDR=/d'; done
