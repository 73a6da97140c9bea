#!/bin/sh
# Installs what the tests need, and only what is missing: Debian packages by apt-get (with sudo when
# not root), npm packages by the lock files.
# Usage: sh tests/install.sh [demo|secure|gateway|firmware|check|bench[-peers|-gateway]|test[-long]]
# Fails, naming it, if something cannot be had: a suite is never skipped for want of a tool.
set -u
cd "$(dirname "$0")/.." || exit 1

# what must exist (a command, or a file if it has a slash)    the Debian package that brings it
demo='
cc                                          gcc
/usr/include/stdio.h                        libc6-dev
'
secure="$demo"'
/usr/include/bearssl.h                      libbearssl-dev
openssl                                     openssl
'
gateway="$demo"'
/usr/include/hiredis/hiredis.h              libhiredis-dev
/usr/include/nats/nats.h                    libnats-dev
/usr/include/amqp.h                         librabbitmq-dev
/usr/include/librdkafka/rdkafka.h           librdkafka-dev
/usr/include/*/curl/curl.h                  libcurl4-openssl-dev
/usr/include/mosquitto.h                    libmosquitto-dev
'
arm='
arm-none-eabi-gcc                           gcc-arm-none-eabi
/usr/include/newlib/string.h                libnewlib-arm-none-eabi
python3                                     python3
'
firmware="$arm"'
dpkg-source                                 dpkg-dev
/etc/ssl/certs/ca-certificates.crt          ca-certificates
qemu-system-arm                             qemu-system-arm
'
check="$demo$arm"'
gcc                                         gcc
nm                                          binutils
/usr/include/cmocka.h                       libcmocka-dev
'
tests="$check$firmware$secure$gateway"'
g++                                         g++
clang                                       clang
/usr/lib/llvm-14/lib/clang/*/lib/linux/*asan*x86_64.a libclang-rt-14-dev
avr-gcc                                     gcc-avr
/usr/lib/avr/include/string.h               avr-libc
arduino-builder                             arduino-builder
/usr/share/arduino/hardware/arduino/avr     arduino-core-avr
arduino-ctags                               arduino-ctags
cmake                                       cmake
meson                                       meson
pkg-config                                  pkg-config
riscv64-unknown-elf-g++                     gcc-riscv64-unknown-elf
/usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs picolibc-riscv64-unknown-elf
xtensa-lx106-elf-g++                        gcc-xtensa-lx106
/usr/lib/xtensa-lx106-elf/include/string.h  picolibc-xtensa-lx106-elf
powerpc-linux-gnu-gcc                       gcc-powerpc-linux-gnu
/usr/powerpc-linux-gnu/include/stdio.h      libc6-dev-powerpc-cross
qemu-ppc                                    qemu-user
x86_64-w64-mingw32-gcc                      gcc-mingw-w64-x86-64-win32
/usr/lib/wine/wine64                        wine64
sslscan                                     sslscan
certutil                                    libnss3-tools
curl                                        curl
valgrind                                    valgrind
/usr/lib/debug/.build-id                    libc6-dbg
cppcheck                                    cppcheck
chromium                                    chromium
chromium-headless-shell                     chromium-headless-shell
firefox-esr                                 firefox-esr
node                                        nodejs
npm                                         npm
git                                         git
/usr/lib/python3/dist-packages/websockets   python3-websockets
setarch                                     util-linux
unshare                                     util-linux
tc                                          iproute2
python3                                     python3
/usr/sbin/nginx                             nginx-light
/usr/sbin/haproxy                           haproxy
caddy                                       caddy
esbuild                                     esbuild
redis-server                                redis-server
nats-server                                 nats-server
/usr/sbin/mosquitto                         mosquitto
mosquitto_pub                               mosquitto-clients
/usr/lib/rabbitmq/bin/rabbitmq-server       rabbitmq-server
epmd                                        erlang-base
amqp-publish                                amqp-tools
kcat                                        kcat
'
bench="$demo"'
gnuplot                                     gnuplot-nox
valgrind                                    valgrind
python3                                     python3
'
peers="$bench"'
/usr/include/libwebsockets.h                libwebsockets-dev
/usr/sbin/nginx                             nginx-light
/usr/lib/nginx/modules/ngx_nchan_module.so  libnginx-mod-nchan
node                                        nodejs
npm                                         npm
'
crowd="$gateway"'
redis-server                                redis-server
/usr/sbin/nginx                             nginx-light
/usr/lib/nginx/modules/ngx_nchan_module.so  libnginx-mod-nchan
python3                                     python3
'
long="$tests"'
go                                          golang-go
afl-fuzz                                    afl++
'

want="${1:-test}"
case "$want" in
    demo) list="$demo" ;;
    secure) list="$secure" ;;
    gateway) list="$gateway" ;;
    firmware) list="$firmware" ;;
    check) list="$check" ;;
    bench) list="$bench" ;;
    bench-peers) list="$peers" ;;
    bench-gateway) list="$crowd" ;;
    test) list="$tests" ;;
    test-long) list="$long" ;;
    *)
        sed -n 's/^# Usage:/usage:/p' "$0" >&2
        exit 2
        ;;
esac

present() {
    case "$1" in
        */*) ls $1 >/dev/null 2>&1 ;; # a pattern may stand for a version
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# Packages of which something is missing, each once.
missing_packages() {
    echo "$list" | while read -r thing package; do
        if [ -n "$thing" ] && ! present "$thing"; then
            echo "$package"
        fi
    done | sort -u | tr '\n' ' '
}

packages="$(missing_packages)"
if [ -n "$packages" ]; then
    root=''
    if [ "$(id -u)" != 0 ]; then
        root='sudo'
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "install: missing, and no apt-get here; install what Debian calls: $packages" >&2
        exit 1
    fi
    echo "install: $packages"
    mkdir -p build
    export DEBIAN_FRONTEND=noninteractive
    # Proxies and brokers come with services, which are not to be started: invoke-rc.d asks this.
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] && policy=''
    [ -n "$policy" ] &&
        $root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    # shellcheck disable=SC2086 # the list is meant to split
    { $root apt-get -o DPkg::Lock::Timeout=300 update &&
        $root apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $packages
    } >build/install.log 2>&1 </dev/null
    status=$?
    [ -n "$policy" ] && $root rm -f "$policy"
    if [ "$status" != 0 ]; then
        tail -n 20 build/install.log >&2
        echo "install: apt-get failed for: $packages(build/install.log)" >&2
        exit 1
    fi
    packages="$(missing_packages)"
    if [ -n "$packages" ]; then
        echo "install: still missing after apt-get: $packages" >&2
        exit 1
    fi
fi

case "$want" in
    test) locks='tests/*/package-lock.json examples/*/package-lock.json' ;;
    test-long)
        locks='tests/*/package-lock.json tests/*/*/package-lock.json examples/*/package-lock.json'
        ;;
    bench-peers) locks='tests/clients/package-lock.json' ;;
    *) exit 0 ;;
esac

# npm packages, exactly those of the lock files. The stamp is the lock file they came from.
began=''
for lock in $locks; do
    folder="${lock%/package-lock.json}"
    if [ ! -e "$lock" ] || cmp -s "$lock" "$folder/node_modules/.rtpush-lock"; then
        continue
    fi
    echo "install: npm ci in $folder"
    log="build/npm-$(echo "$folder" | tr / -).log"
    mkdir -p build
    # All at once: most of it is waiting for the network.
    {
        if npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund </dev/null \
            >"$log" 2>&1; then
            mkdir -p "$folder/node_modules"
            cp "$lock" "$folder/node_modules/.rtpush-lock"
        else
            tail -n 20 "$log" >&2
            echo "install: npm ci failed in $folder" >&2
        fi
    } &
    began="$began $lock"
done
wait
for lock in $began; do
    cmp -s "$lock" "${lock%/package-lock.json}/node_modules/.rtpush-lock" || exit 1
done
