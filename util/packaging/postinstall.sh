#!/bin/sh
# dpkg calls it with "configure" and the version before, rpm with the number of versions that are installed.
set -e
case "$1" in
configure | 1 | 2) ;;
*) exit 0 ;;
esac
chgrp gnatsd /etc/gnatsd.conf
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# An upgrade restarts the broker if it runs; a first installation does not start it.
systemctl try-restart gnatsd.service
