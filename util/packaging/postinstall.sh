#!/bin/sh
# dpkg calls it with "configure" and the version before, rpm with the number of versions that are installed.
set -e
case "$1 $2" in
"configure " | "1 ")
	# The first time. Later the owner of the file is the administrator's choice.
	chgrp gnatsd /etc/gnatsd.conf
	;;
configure\ * | [2-9]\ *) ;;
*) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
# An upgrade restarts the broker if it runs; a first installation does not start it. On Debian the
# administrator may forbid it (policy-rc.d). A broker that does not start, for instance because of its
# configuration, is no reason to leave the package half installed: the error is shown.
invoke=systemctl
! command -v deb-systemd-invoke >/dev/null || invoke=deb-systemd-invoke
$invoke try-restart gnatsd.service || true
