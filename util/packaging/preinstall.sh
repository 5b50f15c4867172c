#!/bin/sh
# Before the files: the configuration belongs to the group of the broker.
set -e
getent group gnatsd >/dev/null || groupadd --system gnatsd
getent passwd gnatsd >/dev/null || useradd --system --gid gnatsd --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin --comment "gnatsd message broker" gnatsd
