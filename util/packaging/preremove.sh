#!/bin/sh
# dpkg calls it with "remove" or "upgrade", rpm with the number of versions that remain.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl stop gnatsd.socket gnatsd.service || true
fi
# This needs no systemd that runs.
! command -v systemctl >/dev/null || systemctl --no-reload disable gnatsd.socket gnatsd.service || true
