# rtpush: nothing needs to be built before use, copy rtpush.h. This file builds the demo and runs
# the tests. All output goes to build/.

CC ?= cc
CFLAGS ?= -O2
STRICT := -Wall -Wextra -Wpedantic -Wshadow -Wundef
C99 := -std=c99 $(STRICT) -Ibuild -I.
SANITIZE := -g1 -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CORE := rtpush.h $(wildcard ports/*.h)
EXAMPLES := $(wildcard examples/*/*.[ch])
SECURE := $(wildcard examples/secure/*.[ch] examples/secure/*.sh examples/secure/page/*) \
    examples/shared/look.css
PAGE := $(wildcard examples/dashboard/*.* examples/dashboard/page/* examples/shared/*.css \
    ports/browser/* ports/*.sh)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Examples with the main, the look and the page's script of examples/shared.
APPS := board chat remote rtc ticker tokens upload
BOARDS := lm3s6965evb mps2-an385 mps2-an500
BOARD ?= lm3s6965evb
PORT ?= 8080
.PHONY: help demo test test-long check echo hub dashboard firmware firmware-run firmware-size \
    firmware-tools firmware-bench size stack clean bench bench-peers simulate coverage mutants \
    fuzz fuzz-afl cert secure secure-run secure-firmware secure-firmware-run secure-bench \
    package page install widgets widgets-firmware widgets-firmware-run selftest selftest-firmware \
    selftest-firmware-run examples examples-asan gallery gateway bench-gateway

## make demo       build the dashboard and serve it on http://127.0.0.1:8080 (PORT=8080)
demo: dashboard
	build/dashboard --port $(PORT)

## make test       install what the tests need, run every suite, end with the totals
test:
	sh tests/install.sh test
	sh tests/run.sh test

## make test-long  more seeds of both simulations, longer fuzzing; an hour and more
test-long:
	sh tests/install.sh test-long
	sh tests/run.sh test-long

## make check      the quick gate: lint, symbols, unit tests with sanitizers; under a minute
check:
	sh tests/install.sh check
	RTPUSH_QUICK=1 sh tests/run.sh check

## make echo       build build/echo, WebSocket echo
echo: build/echo

## make hub        build build/hub, publish and subscribe over all three transports
hub: build/hub

## make gateway    build build/gateway, many readers on a broker (BROKERS='redis nats http ...')
gateway: build/gateway

## make dashboard  build build/dashboard, the demo
dashboard: build/dashboard

## make widgets    build build/widgets, a dashboard from a table, without HTML
widgets: build/widgets

## make selftest   build build/selftest, a page that tests the board which serves it
selftest: build/selftest

## make examples   build all examples but the gateway: build/echo ..., build/examples/chat ...
examples: echo hub dashboard widgets selftest secure $(APPS:%=build/examples/%) \
    build/examples/gallery

## make gallery    start them, behind one page on http://127.0.0.1:8080 (PORT=8080)
gallery: dashboard $(APPS:%=build/examples/%) build/examples/gallery
	sh examples/gallery/run.sh $(PORT) $(APPS)

## make secure     build build/secure, a device behind TLS and a login
secure: build/secure

## make secure-run serve it on https://127.0.0.1:8443 with the certificate of "make cert"
secure-run: build/secure cert
	build/secure --origin http://localhost:9000

## make firmware   build the dashboard for three boards, and print what takes flash and RAM
firmware: $(BOARDS:%=build/firmware/%.elf) firmware-size

## make firmware-run  run it in QEMU on http://127.0.0.1:8080 (BOARD=lm3s6965evb PORT=8080)
firmware-run: build/firmware/$(BOARD).elf
	sh examples/firmware/run.sh $(BOARD) $(PORT)

## make firmware-size  flash and RAM of each part, from the map file
firmware-size: build/firmware/$(BOARD).elf
	python3 examples/firmware/size.py build/firmware/$(BOARD).map

## make firmware-bench  instructions and memory of a broadcast and an echo on a Cortex-M3, by part
##                      (FUNCTIONS=20: also the 20 most expensive functions)
firmware-bench: firmware-tools
	SOURCES=tests/bench/firmware.c OUT=build/bench-firmware \
	    sh examples/firmware/build.sh mps2-an385
	python3 tests/bench/firmware.py build/bench-firmware/mps2-an385.elf $(FUNCTIONS)

## make secure-firmware      examples/secure for lm3s6965evb and mps2-an385, and its flash and RAM
secure-firmware: build/secure-firmware/lm3s6965evb.elf build/secure-firmware/mps2-an385.elf
	python3 examples/firmware/size.py build/secure-firmware/lm3s6965evb.map

## make secure-firmware-run  run it in QEMU on https://127.0.0.1:8443 (BOARD=lm3s6965evb)
secure-firmware-run: build/secure-firmware/$(BOARD).elf
	OUT=build/secure-firmware GUEST=$(or $(GUEST),443) sh examples/firmware/run.sh $(BOARD) 8443

## make widgets-firmware      examples/widgets for lm3s6965evb, and its flash and RAM
widgets-firmware: build/widgets-firmware/lm3s6965evb.elf
	python3 examples/firmware/size.py build/widgets-firmware/lm3s6965evb.map

## make widgets-firmware-run  run it in QEMU on http://127.0.0.1:8080 (PORT=8080)
widgets-firmware-run: build/widgets-firmware/lm3s6965evb.elf
	OUT=build/widgets-firmware sh examples/firmware/run.sh lm3s6965evb $(PORT)

## make selftest-firmware      examples/selftest for lm3s6965evb, and its flash and RAM
selftest-firmware: build/selftest-firmware/lm3s6965evb.elf
	python3 examples/firmware/size.py build/selftest-firmware/lm3s6965evb.map

## make selftest-firmware-run  run it in QEMU on http://127.0.0.1:8080 (PORT=8080)
selftest-firmware-run: build/selftest-firmware/lm3s6965evb.elf
	OUT=build/selftest-firmware sh examples/firmware/run.sh lm3s6965evb $(PORT)

## make secure-bench         instructions and memory of a TLS handshake on a Cortex-M3, by BearSSL
##                           and by mbedTLS
secure-bench: build/secure-firmware/mps2-an385.elf build/bench-tls/mps2-an385.elf
	python3 tests/bench/tls.py build/secure-firmware/mps2-an385.elf
	python3 tests/bench/tls.py build/bench-tls/mps2-an385.elf mbedtls

## make size       flash and RAM on Cortex-M: of two whole images, and against the budgets
size: firmware-size secure-firmware
	sh tests/size.sh

## make stack      the deepest stack of every public call on Cortex-M3
stack:
	python3 tests/stack.py

## make bench      instructions, server CPU and memory, as text and as build/bench/*.csv
bench:
	sh tests/install.sh bench
	sh tests/bench/bench.sh

## make bench-peers  the same beside libwebsockets, npm ws and nginx with nchan
bench-peers:
	sh tests/install.sh bench-peers
	sh tests/bench/bench.sh peers

## make bench-gateway  9,000 readers of a gateway on Redis, beside nchan; 18,000 of one to three
bench-gateway:
	sh tests/install.sh bench-gateway
	sh tests/bench/bench.sh gateway
	sh tests/bench/bench.sh gateways -r 18000 -w 'SSE, one'

## make coverage  lines and branches of rtpush.h and each port that the tests reach
coverage:
	sh tests/install.sh test
	sh tests/coverage.sh

## make mutants    PORT=json COUNT=N SECTION='ws wire': mutants of rtpush.h or a port that survive
mutants:
	python3 tests/mutants.py

## make simulate   SEEDS=N FIRST_SEED=M: random runs of the lwIP port on a simulated wire
simulate:
	SEEDS=$(or $(SEEDS),10000) sh tests/lwip/run.sh simulate

## make fuzz       SECONDS=N: whole connections with the API in them, by libFuzzer
fuzz:
	sh tests/install.sh test
	sh tests/fuzz/run.sh fuzz $(or $(SECONDS),60)

## make fuzz-afl   SECONDS=N: the same by AFL++
fuzz-afl:
	sh tests/install.sh test-long
	sh tests/fuzz/run.sh afl $(or $(SECONDS),60)

## make cert       a CA and certificates for development in build/cert
cert:
	sh ports/cert.sh build/cert

build/cert/dev_cert.h: cert # an image is made anew where the certificate is
	@:

## make package    build/package: trees and archives for PlatformIO, Arduino, ESP-IDF, Zephyr, npm,
##                 meson (URL=https://...: where the repository is)
package:
	sh ports/packages/make.sh build/package

## make page       build/page: rtpush.js minified, as a module and as a classic script; its sizes
page:
	sh ports/page.sh build/page
	sh tests/browser/size.sh sizes

## make install    PREFIX=/usr/local DESTDIR=: headers, CMake and pkg-config files; builds nothing
install:
	sh ports/packages/install.sh

## make clean      remove build/
clean:
	rm -rf build

## make help       print these lines
help:
	@sed -n 's/^## //p' Makefile

build:
	mkdir -p build

# -- examples, each also with poll() instead of epoll and with sanitizers --------------------------
build/echo build/hub: build/%: $(EXAMPLES) $(CORE) Makefile | build
	$(CC) $(C99) $(CFLAGS) examples/$*/*.c -o $@ -lpthread

build/echo-poll build/hub-poll: build/%-poll: $(EXAMPLES) $(CORE) Makefile | build
	$(CC) $(C99) $(CFLAGS) -DRTPUSH_POSIX_POLL examples/$*/*.c -o $@ -lpthread

build/echo-asan build/hub-asan: build/%-asan: $(EXAMPLES) $(CORE) Makefile | build
	$(CC) $(C99) $(SANITIZE) examples/$*/*.c -o $@ -lpthread

# ... the gateway, with the sources that are wanted and their libraries
BROKERS ?= redis nats rabbit kafka http mqtt pubsub core
LIBRARY_redis := -lhiredis
LIBRARY_nats := -lnats
LIBRARY_rabbit := -lrabbitmq
LIBRARY_kafka := -lrdkafka
LIBRARY_http := -lcurl
LIBRARY_mqtt := -lmosquitto
LIBRARY_pubsub := -lhiredis
LIBRARY_core := -lnats
GATEWAY = $(addprefix examples/gateway/,gateway.c options.c metrics.c trust.c presence.c source.c \
    feed.c lines.c \
    $(BROKERS:%=%.c)) $(BROKERS:%=-DGATEWAY_WITH_%)
GATEWAY_LIBRARIES = $(foreach broker,$(BROKERS),$(LIBRARY_$(broker))) -lpthread

build/gateway: $(EXAMPLES) $(CORE) Makefile | build
	@sh tests/install.sh gateway
	$(CC) $(C99) $(CFLAGS) $(GATEWAY) -o $@ $(GATEWAY_LIBRARIES)

build/gateway-asan: $(EXAMPLES) $(CORE) Makefile | build
	$(CC) $(C99) $(SANITIZE) $(GATEWAY) -o $@ $(GATEWAY_LIBRARIES)

build/kafka-mock: tests/gateway/kafka_mock.c Makefile | build
	$(CC) $(C99) $(CFLAGS) $< -o $@ -lrdkafka

# The core with sanitizers, once for all programs of the tests that are linked to it.
build/core-asan.o: ports/cmake/core.c rtpush.h Makefile | build
	$(CC) $(C99) $(SANITIZE) -c $< -o $@

# ... and for microcontrollers, with warnings as in tests/matrix.sh, which has this of its objects:
# tests/size.sh and symbols.sh measure them, stack.py reads their call graphs.
CORTEX := build/core-cortex-m0plus.o build/core-cortex-m3.o
$(CORTEX): build/core-%.o: ports/cmake/core.c rtpush.h Makefile | build
	arm-none-eabi-gcc -mthumb -mcpu=$* -std=c99 -Os -ffunction-sections -fdata-sections $(STRICT) \
	    -Wconversion -Wcast-qual -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror \
	    -fstack-usage -fcallgraph-info=su -I. -c $< -o $@

build/page-server: tests/browser/server.c tests/serve.h build/core-asan.o $(CORE) Makefile
	$(CC) $(C99) $(SANITIZE) $< build/core-asan.o -o $@ -lpthread

build/access: tests/clients/access.c tests/serve.h build/core-asan.o $(CORE) Makefile
	$(CC) $(C99) $(SANITIZE) $< build/core-asan.o -o $@ -lpthread

build/upload: tests/clients/upload.c tests/serve.h build/core-asan.o $(CORE) Makefile
	$(CC) $(C99) $(SANITIZE) $< build/core-asan.o -o $@ -lpthread

# ... over ports/rtpush_sockets.h, and the same for Windows, where a script starts it by wine
OVER_SOCKETS := build/echo-sockets build/hub-sockets
$(OVER_SOCKETS): build/%-sockets: $(EXAMPLES) $(CORE) tests/sockets/posix.h build/core-asan.o \
    Makefile
	@mkdir -p build/sockets
	sed -e 's|ports/rtpush_posix.h|tests/sockets/posix.h|' -e '/define RTPUSH_IMPLEMENTATION/d' \
	    examples/$*/$*.c >build/sockets/$*.c
	$(CC) $(C99) $(SANITIZE) build/sockets/$*.c build/core-asan.o -o $@ -lpthread

WINDOWS := build/windows/echo build/windows/hub
$(WINDOWS): build/windows/%: $(EXAMPLES) $(CORE) tests/sockets/posix.h tests/sockets/wine.sh \
    Makefile | build
	@mkdir -p build/windows
	sed 's|ports/rtpush_posix.h|tests/sockets/posix.h|' examples/$*/$*.c >build/windows/$*.c
	x86_64-w64-mingw32-gcc $(C99) -O1 -Wconversion -Werror build/windows/$*.c \
	    -o build/windows/$*.exe -lws2_32
	cp tests/sockets/wine.sh $@

# setarch -R when it runs: the thread sanitizer of gcc 12 wants addresses that are not randomised.
build/threads: tests/posix/threads.c $(CORE) Makefile | build
	gcc $(C99) -g1 -O1 -fsanitize=thread $< -o $@ -lpthread

# ... over TLS: the same programs, listening by tests/tls/listen.h
OVER_TLS := build/echo-tls build/hub-tls build/dashboard-tls
$(OVER_TLS): build/%-tls: $(EXAMPLES) $(CORE) $(wildcard tests/tls/*.h) build/core-asan.o \
    Makefile | cert
	@mkdir -p build/tls
	sed -e 's|rtpush_posix_listen(|tls_listen(|' -e '/define RTPUSH_IMPLEMENTATION/d' \
	    -e '/rtpush_posix.h"/a #include "../../tests/tls/listen.h"' \
	    examples/$*/$*.c >build/tls/$*.c
	$(CC) $(C99) $(SANITIZE) -Iexamples/$* build/tls/$*.c \
	    $(filter-out %/$*.c,$(wildcard examples/$*/*.c)) build/core-asan.o -o $@ \
	    -lbearssl -lpthread

# ... and by mbedTLS
BY_MBEDTLS := build/echo-mbedtls build/hub-mbedtls
$(BY_MBEDTLS): build/%-mbedtls: build/%-tls build/mbedtls/lib-host.a
	$(CC) $(C99) $(SANITIZE) -DT_MBEDTLS $$(sh tests/tls/mbedtls.sh flags host) -Iexamples/$* \
	    build/tls/$*.c $(filter-out %/$*.c,$(wildcard examples/$*/*.c)) build/core-asan.o \
	    build/mbedtls/lib-host.a -o $@ -lpthread

build/mbedtls/lib-%.a: tests/tls/mbedtls.sh tests/tls/mbedtls/mbedtls_config.h
	sh tests/tls/mbedtls.sh $*

build/dashboard-tls: build/dashboard_assets.h

build/dashboard_assets.h: $(PAGE) | build
	@command -v $(CC) >/dev/null || sh tests/install.sh demo
	@if [ -d examples/dashboard/node_modules/uplot ]; then :; \
	elif command -v npm >/dev/null; then \
	    npm ci --prefix examples/dashboard --ignore-scripts --no-audit --no-fund </dev/null || \
	    echo "make: npm ci failed: the page is built without charts"; \
	else echo "make: npm is missing (apt-get install npm): the page is built without charts"; fi
	sh examples/dashboard/bundle.sh $@

build/widgets_assets.h: $(PAGE) build/dashboard_assets.h | build
	sh ports/dash.sh $@ $(wildcard examples/dashboard/node_modules/uplot)

SHARED := $(wildcard examples/shared/*) ports/browser/rtpush.js ports/assets.sh

# The main of examples/shared, with an app.h of the example.
own_main = -DAPP_HEADER='"examples/$(1)/app.h"' examples/$(1)/app.c examples/shared/posix.c

build/widgets: $(EXAMPLES) $(SHARED) $(CORE) build/widgets_assets.h Makefile
	$(CC) $(C99) $(CFLAGS) $(call own_main,widgets) -o $@ -lpthread

build/widgets-asan: $(EXAMPLES) $(SHARED) $(CORE) build/widgets_assets.h Makefile
	$(CC) $(C99) $(SANITIZE) $(call own_main,widgets) -o $@ -lpthread

build/selftest_assets.h: $(wildcard examples/selftest/page/* examples/selftest/*.sh ports/*.sh) \
    ports/browser/rtpush.js | build
	sh examples/selftest/bundle.sh $@

build/selftest: $(EXAMPLES) $(SHARED) $(CORE) build/selftest_assets.h Makefile
	$(CC) $(C99) $(CFLAGS) $(call own_main,selftest) -o $@ -lpthread

build/selftest-asan: $(EXAMPLES) $(SHARED) $(CORE) build/selftest_assets.h Makefile
	$(CC) $(C99) $(SANITIZE) $(call own_main,selftest) -o $@ -lpthread

# ... the sketch on this machine, by stubs of Arduino's headers
build/selftest-sketch: $(EXAMPLES) examples/selftest/selftest.ino $(wildcard tests/cpp/arduino/*) \
    $(CORE) ports/rtpush.hpp build/selftest_assets.h Makefile
	sed 's|nullptr, 80, 0|"127.0.0.1", (unsigned)sketch_port, 0|' \
	    examples/selftest/selftest.ino >build/selftest-sketch.cpp
	$(CC) $(C99) $(SANITIZE) -DARDUINO -c examples/selftest/app.c -o build/selftest-app.o
	$(CXX) -std=c++11 $(STRICT) $(SANITIZE) -DARDUINO -D_GNU_SOURCE -I. -Iexamples/selftest \
	    -Itests/cpp/arduino -DSKETCH='"build/selftest-sketch.cpp"' tests/cpp/arduino/main.cpp \
	    build/selftest-app.o -o $@ -lpthread

build/dashboard: $(PAGE) $(CORE) build/dashboard_assets.h Makefile
	$(CC) $(C99) $(CFLAGS) examples/dashboard/*.c -o $@ -lpthread

build/secure_assets.h: $(SECURE) ports/browser/rtpush.js ports/assets.sh | build
	sh examples/secure/bundle.sh $@

SECURE_HOST := examples/secure/secure.c examples/secure/app.c examples/secure/inbox.c

# TLS=mbedtls: with the library that the tests build; where it is installed, -lmbedtls -lmbedx509
# -lmbedcrypto does.
ifeq ($(TLS),mbedtls)
SECURE_LIB := build/mbedtls/lib-host.a
SECURE_TLS = -DSECURE_MBEDTLS $$(sh tests/tls/mbedtls.sh flags host) $(SECURE_LIB)
else
SECURE_TLS = -lbearssl
endif

build/secure: $(SECURE) $(EXAMPLES) $(CORE) build/secure_assets.h $(SECURE_LIB) Makefile
	@sh tests/install.sh secure
	$(CC) $(C99) $(CFLAGS) $(SECURE_HOST) -o $@ $(SECURE_TLS) -lpthread

build/secure-mbedtls: $(SECURE) $(EXAMPLES) $(CORE) build/secure_assets.h \
    build/mbedtls/lib-host.a Makefile | cert
	$(CC) $(C99) $(SANITIZE) -DSECURE_MBEDTLS $$(sh tests/tls/mbedtls.sh flags host) \
	    $(SECURE_HOST) build/mbedtls/lib-host.a -o $@ -lpthread

build/secure-asan: $(SECURE) $(EXAMPLES) $(CORE) build/secure_assets.h Makefile | cert
	$(CC) $(C99) $(SANITIZE) $(SECURE_HOST) -o $@ -lbearssl -lpthread

# -- examples/shared: one main, so that rtpush.h is compiled once for all of them ------------------
PAGES := $(wildcard examples/*/page/*)

build/pages/%_page.h: $(SHARED) $(PAGES) | build
	sh examples/shared/page.sh $@ examples/$*

build/examples/posix.o: FLAGS = $(CFLAGS)
build/examples-asan/posix.o: FLAGS = $(SANITIZE)
build/examples/posix.o build/examples-asan/posix.o: examples/shared/posix.c $(SHARED) $(CORE) \
    Makefile
	@mkdir -p $(@D)
	$(CC) $(C99) $(FLAGS) -c $< -o $@

build/examples/%: build/pages/%_page.h build/examples/posix.o $(EXAMPLES)
	$(CC) $(C99) $(CFLAGS) -Ibuild/pages examples/$*/*.c examples/shared/app.c $(@D)/posix.o -o $@ \
	    -lpthread

build/examples-asan/%: build/pages/%_page.h build/examples-asan/posix.o $(EXAMPLES)
	$(CC) $(C99) $(SANITIZE) -Ibuild/pages examples/$*/*.c examples/shared/app.c $(@D)/posix.o \
	    -o $@ -lpthread

examples-asan: $(APPS:%=build/examples-asan/%) build/examples-asan/gallery

# ... on the board with 64 KB of RAM, with the sizes of examples/firmware/lwipopts.h
build/app-firmware/%/lm3s6965evb.elf: build/pages/%_page.h $(EXAMPLES) $(SHARED) $(CORE) | \
    firmware-tools
	SOURCES="examples/firmware/app_main.c examples/shared/app.c $$(echo examples/$*/*.c)" \
	    OUT=$(@D) CFLAGS='-Ibuild/pages -Iexamples/shared -DCONNS=16 -DSTREAMS=10 -DLISTENERS=1' \
	    sh examples/firmware/build.sh lm3s6965evb

.SECONDARY:

# -- firmware: the dashboard's app.c and page on lwIP, see examples/firmware -----------------------
FIRMWARE := $(wildcard examples/firmware/* examples/firmware/*/*)

$(BOARDS:%=build/firmware/%.elf): build/firmware/%.elf: $(FIRMWARE) $(EXAMPLES) $(CORE) \
    build/dashboard_assets.h | firmware-tools
	sh examples/firmware/build.sh $*

# ... the dashboard of examples/widgets
build/widgets-firmware/lm3s6965evb.elf: $(FIRMWARE) $(EXAMPLES) $(CORE) build/widgets_assets.h | \
    firmware-tools
	SOURCES='examples/firmware/app_main.c examples/widgets/app.c' CFLAGS=-Iexamples/widgets \
	    OUT=$(@D) sh examples/firmware/build.sh lm3s6965evb

# ... the self-test
build/selftest-firmware/lm3s6965evb.elf: $(FIRMWARE) $(EXAMPLES) $(CORE) build/selftest_assets.h | \
    firmware-tools
	SOURCES='examples/firmware/app_main.c examples/selftest/app.c' OUT=$(@D) \
	    CFLAGS='-Iexamples/selftest -DAPP_BOARD=lm3s6965evb' \
	    sh examples/firmware/build.sh lm3s6965evb

# ... over TLS: app.c and pages of examples/secure
SECURE_FIRMWARE := examples/secure/firmware.c examples/secure/app.c examples/secure/inbox.c

$(BOARDS:%=build/secure-firmware/%.elf): build/secure-firmware/%.elf: $(SECURE) $(FIRMWARE) \
    $(EXAMPLES) $(CORE) build/secure_assets.h build/cert/dev_cert.h | firmware-tools \
    build/bearssl/lib-cortex-m3.a
	SOURCES='$(SECURE_FIRMWARE)' CFLAGS=-Iexamples/secure TLS=1 STACK=5K OUT=$(@D) \
	    sh examples/firmware/build.sh $*

# ... a server by mbedTLS, with the same drivers, lwIP and certificate, to be measured
build/bench-tls/mps2-an385.elf: tests/bench/tls.c $(FIRMWARE) $(EXAMPLES) $(CORE) \
    build/mbedtls/lib-cortex-m3.a build/cert/dev_cert.h | firmware-tools \
    build/bearssl/lib-cortex-m3.a
	SOURCES=$< STACK=16K OUT=$(@D) LIBRARY=build/mbedtls/lib-cortex-m3.a \
	    CFLAGS="-Iexamples/secure -isystem build/bearssl/inc $$(sh tests/tls/mbedtls.sh \
	    flags cortex-m3)" sh examples/firmware/build.sh mps2-an385

build/mbedtls/lib-cortex-m3.a: | firmware-tools

build/bearssl/lib-cortex-m3.a: | firmware-tools
	sh tests/tls/bearssl.sh cortex-m3

firmware-tools:
	@sh tests/install.sh firmware
	@sh tests/lwip/fetch.sh 2.1
