#!/bin/sh
# Builds the image of docker/Dockerfile and starts it as docker-compose.yml would: as uid 10001, without capabilities, on a
# root that cannot be written. `make image`; needs Docker, or as root buildah, and debootstrap where no registry is reached.
set -eu
cd "$(dirname "$0")/.."
image=neurocards
python=python:3.13-slim

if docker info > /dev/null 2>&1; then
    docker build --file docker/Dockerfile --tag "$image" --build-arg "NEUROCARDS_COMMIT=$(git rev-parse HEAD)" .
    run() { docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "$@"; }
    inside() { run --entrypoint sh "$image" -c "$1"; }
    trap : EXIT
elif command -v buildah > /dev/null && [ "$(id -u)" = 0 ]; then
    if ! buildah inspect --type image "$python" > /dev/null 2>&1 && ! buildah pull "$python" > /dev/null 2>&1; then
        command -v debootstrap > /dev/null || { echo "skipped: no registry of images is reached, and there is no debootstrap"; exit 0; }
        echo "No registry of images is reached: Debian with its own Python stands in for $python."
        base=$(mktemp -d)
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv trixie "$base" > "$base.log" \
            || { cat "$base.log"; exit 1; }
        ln -sf python3 "$base/usr/bin/python"
        made=$(buildah from scratch)
        buildah copy --quiet "$made" "$base" / > /dev/null
        buildah commit --quiet "$made" "docker.io/library/$python" > /dev/null
        buildah rm "$made" > /dev/null
        rm -rf "$base" "$base.log"
    fi
    # IMAGE_BUILD_OPTIONS: what this machine's network needs, e.g. --volume /etc/pip.conf:/etc/pip.conf:ro
    # shellcheck disable=SC2086
    buildah build --isolation chroot --pull=never --file docker/Dockerfile --tag "$image" \
        --build-arg "NEUROCARDS_COMMIT=$(git rev-parse HEAD)" ${IMAGE_BUILD_OPTIONS:-} .
    made=$(buildah from --pull=never "$image")
    root=$(buildah mount "$made")
    trap 'buildah umount "$made" > /dev/null; buildah rm "$made" > /dev/null' EXIT
    inside() {
        unshare --mount --pid --fork sh -euc '
            mount --bind "$1" "$1"; mount -t tmpfs none "$1/tmp"; mount -t tmpfs -o mode=0700,uid=10001,gid=10001 none "$1/data"
            mount -t proc none "$1/proc"; mount --bind /dev "$1/dev"; mount -o remount,bind,ro "$1"
            exec env -i PATH=/opt/neurocards/bin:/usr/local/bin:/usr/sbin:/usr/bin:/bin NEUROCARDS_DATA_DIR=/data PYTHONDONTWRITEBYTECODE=1 \
                chroot "$1" setpriv --reuid 10001 --regid 10001 --clear-groups --bounding-set=-all --inh-caps=-all \
                --no-new-privs sh -euc "cd /data; $2"' - "$root" "$1"
    }
else
    echo "skipped: there is no Docker that answers, and no buildah or no root"
    exit 0
fi

inside '
    test "$(id -u)" = 10001 && test "$(id -G)" = 10001
    grep -q "^CapEff:.0*$" /proc/self/status && grep -q "^CapBnd:.0*$" /proc/self/status
    grep -q "^NoNewPrivs:.1$" /proc/self/status
    ! touch /opt/neurocards/written 2> /dev/null
    neurocards demo --cycles 1 --workers 1
'
echo "The image $image starts as uid 10001, without capabilities, on a root that cannot be written, and plays a whole cycle."
