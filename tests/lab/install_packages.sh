#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of packages.txt that are missing; says nothing when none is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
missing=()
while read -r name; do
  dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$name")
done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/packages.txt")
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "Debian packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "==> Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Services must not start on this host merely because the lab needs their programs.
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" |
  sed -u -n 's/^Setting up \([^ ]*\).*/    \1/p'
