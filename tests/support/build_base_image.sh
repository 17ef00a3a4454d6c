#!/bin/sh
# Makes what the tests of our images build upon where no registry is reached: a stand-in for
# `python:3.11-slim`, of Debian 12 and the Python that runs this. Its packages' archives are in it,
# so that `apt-get install` in a Dockerfile works without a network too. And compose and buildx, as
# plugins of the docker command line.
#
#     tests/support/build_base_image.sh [FOLDER]
#
# FOLDER: where they go; default FIXWURX_IMAGES_DIR, else ~/.cache/fixwurx-tests/images.
# Needs: root; apt-get install debootstrap docker.io
# Takes a minute, 450 MB of disk.
set -eu

folder=${1:-${FIXWURX_IMAGES_DIR:-$HOME/.cache/fixwurx-tests/images}}
python=${PYTHON:-python3}
mirror=http://deb.debian.org/debian
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"

# What the Python links to is what the official image installs for its own.
debootstrap --variant=minbase \
  --include=ca-certificates,netbase,tzdata,libffi8,libssl3,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libuuid1,libncursesw6,libexpat1 \
  bookworm "$work/root" "$mirror"
prefix=$($python -c 'import sys; print(sys.base_prefix)')
version=$($python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
local=$work/root/usr/local
cp "$(readlink -f "$prefix/bin/python$version")" "$local/bin/python$version"
ln -sf "python$version" "$local/bin/python3"
ln -sf "python$version" "$local/bin/python"
cp -a "$prefix/lib/"libpython"$version"*.so* "$local/lib/" 2>/dev/null || true
tar -C "$prefix/lib" --exclude='*/site-packages/*' --exclude='*/test' --exclude='*/idlelib' \
  --exclude='*/tkinter' --exclude='*/config-*' --exclude='__pycache__' -c "python$version" \
  | tar -C "$local/lib" -x
chroot "$work/root" ldconfig
# As the slim images have it.
for share in doc info locale man; do
  echo "path-exclude /usr/share/$share/*" >> "$work/root/etc/dpkg/dpkg.cfg.d/slim"
  rm -rf "$work/root/usr/share/$share"
done
chroot "$work/root" apt-get -q install -y --no-install-recommends --download-only bubblewrap git tini
chroot "$work/root" python -m ensurepip --default-pip
chroot "$work/root" python -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, venv, zlib'
tar -C "$work/root" --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* -c . > "$folder/python-slim.tar.new"
mv "$folder/python-slim.tar.new" "$folder/python-slim.tar"

# Debian 12 has neither; those of Debian 13 need nothing but its libc.
cat > "$work/debian.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/plugins"
apt() {
  apt-get -q -o Dir::Etc::sourcelist="$work/debian.sources" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
apt update
(cd "$work/plugins" && apt download docker-compose docker-buildx && for deb in *.deb; do dpkg-deb -x "$deb" .; done)
mkdir -p "$folder/docker/cli-plugins"
cp "$work"/plugins/usr/libexec/docker/cli-plugins/* "$folder/docker/cli-plugins/"
echo "made in $folder"
