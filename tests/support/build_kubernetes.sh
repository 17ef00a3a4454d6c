#!/bin/sh
# Builds what the `kubernetes` tier of the tests runs: kube-apiserver, kube-controller-manager,
# kube-scheduler, kubelet and pause, from Debian 12's source package (1.20.2: the last that Debian
# built, and whose kubelet needs nothing but a Docker daemon).
#
#     tests/support/build_kubernetes.sh [FOLDER]
#
# FOLDER: where the binaries go; default FIXWURX_KUBERNETES_BIN, else ~/.cache/fixwurx-tests/kubernetes.
# Needs: apt-get install golang-go etcd-server rsync jq make gcc libc6-dev docker.io socat
# Takes some six minutes on two cores, 2 GB of disk while it builds, 350 MB afterwards.
set -eu

folder=${1:-${FIXWURX_KUBERNETES_BIN:-$HOME/.cache/fixwurx-tests/kubernetes}}
programs="kube-apiserver kube-controller-manager kube-scheduler kubelet"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

# A source list of our own: the machine's stays as it is.
cat > debian.sources <<EOF
Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
mkdir -p lists/partial cache/archives/partial
apt() {
  apt-get -q -o Dir::Etc::sourcelist="$work/debian.sources" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" "$@"
}
apt update
apt source --download-only kubernetes
tar xzf kubernetes_*.orig.tar.gz
cd kubernetes-1.20.2

# Two changes for small machines, each of which must find its place:
# a sandbox asks for an OOM score that only CAP_SYS_RESOURCE may set,
change() {
  grep -q "$2" "$1" || { echo "nothing to change in $1" >&2; exit 1; }
  sed -i "s/$2/$3/" "$1"
}
change pkg/kubelet/dockershim/docker_sandbox.go \
  'defaultSandboxOOMAdj int = -998' 'defaultSandboxOOMAdj int = 0'
# and a deleted pod is forgotten when its containers are, which are looked for once a minute.
change pkg/kubelet/kubelet.go 'ContainerGCPeriod = time.Minute' 'ContainerGCPeriod = 2 * time.Second'

mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
printf "KUBE_GIT_%s\n" "COMMIT='debian'" "TREE_STATE='archive'" "VERSION='v1.20.2'" \
  "MAJOR='1'" "MINOR='20'" > kubever
what=
for program in $programs; do what="$what cmd/$program"; done
env HOME="$work" GOPATH="$PWD/.go" GOCACHE="$work/gocache" CGO_ENABLED=0 \
  KUBE_GIT_VERSION_FILE="$PWD/kubever" make WHAT="$what"
cc -Os -static -o pause build/pause/linux/pause.c -DVERSION=debian

mkdir -p "$folder"
for program in $programs; do
  strip -o "$folder/$program.new" "_output/bin/$program"
  mv "$folder/$program.new" "$folder/$program"
done
strip -o "$folder/pause" pause
echo "built into $folder"
