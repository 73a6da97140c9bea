#!/bin/sh
# Are the rules of the lwIP port tested? Each mutant is ports/rtpush_lwip.h with one rule broken by
# a sed expression (-z: a line end is \n). The simulation's tests must fail: `killed NAME: ...`.
# A mutant that lives, does not compile, or whose expression no longer applies is a failure.
# The last line is `N passed, N failed`.  Usage: sh tests/lwip/mutants.sh [NAME]
set -u
cd "$(dirname "$0")/../.." || exit 1
top=build/lwip/mutants
export ASAN_OPTIONS=detect_leaks=0 SIM_SECONDS=5 # of CPU, for one run

# NAME BUILD EXPRESSION, a line each; one that begins with white space goes on with the last. The
# lines with # name the rules.
table() {
    awk '/^#/ { next }
        /^ / { sub(/^ +/, ""); line = line (split(line, word, " ") == 2 ? " " : "") $0; next }
        { if (line) print line; line = $0 }
        END { print line }' <<'TABLE'
# bytes count as acknowledged when lwIP has freed them; FIN only then
acked_when_sent 2.1-HEAP
    s/rtpush_sent\(srv, slot->conn, ([^;]*)\);/
    rtpush_sent(srv, slot->conn, \1); if (sent > 0) rtpush_acked(srv, slot->conn, (size_t)sent);/
acked_never 2.1-HEAP s/rtpush_acked\(rtpi_lwip_server\(slot\), slot->conn, acked\);/;/
acked_twice 2.1-HEAP s/(rtpush_acked\(rtpi_lwip_server\(slot\), slot->conn, acked\);)/\1 \1/
fin_is_a_close 2.1-HEAP s/tcp_shutdown\(slot->pcb, 0, 1\) != ERR_OK/tcp_close(slot->pcb) != ERR_OK/
fin_is_a_reset 2.1-HEAP s/tcp_shutdown\(slot->pcb, 0, 1\) != ERR_OK/1/
# a pbuf may be shared, or refer to memory of its driver
input_written 2.1-HEAP s/hooks.flags = RTPUSH_INPUT_CONST;/hooks.flags = 0;/
# what may be referred to
log_referred_though_arp_does_not_copy 2.1-HEAP s/PBUF_NEEDS_COPY\(&rom\) \? 1 : 0/1/
log_never_referred 2.1-HEAP s/PBUF_NEEDS_COPY\(&rom\) \? 1 : 0/0/
copy_span_referred 2.1-HEAP
    s/\(span->kind == RTPUSH_SPAN_STATIC \|\|/
    (span->kind == RTPUSH_SPAN_COPY || span->kind == RTPUSH_SPAN_STATIC ||/
gathered_referred 2.1-HEAP
    s/port->gather, gathered, 0, /port->gather, gathered, 1, /g; s/most >= RTPUSH_LWIP_REFER/1/
small_referred 2.1-HEAP s/define RTPUSH_LWIP_REFER 256/define RTPUSH_LWIP_REFER 1/
flash_copied 2.1-HEAP s/span->kind == RTPUSH_SPAN_STATIC/0/
small_not_gathered 2.1-HEAP s/const int gather = /const int gather = 0 \&\& /
no_copy_where_references_run_out 2.1-SMALL
    s/\(!\(flags & TCP_WRITE_FLAG_COPY\) \|\| len > tcp_mss\(pcb\)\)/0/
log_held_though_copied 2.1-HEAP s/rtpush_copied\(srv, slot->conn\);/;/
log_freed_though_referred 2.1-HEAP s/if \(!\(slot->flags & RTPI_LWIP_REFERS\)\)/if (1)/
references_forgotten 2.1-HEAP s/pcb->unacked == NULL && pcb->unsent == NULL/1/
abort_reported_at_once 2.1-HEAP
    s/(slot->port->abort_count\+\+;\n)\}/\1 rtpush_gone(rtpi_lwip_server(slot), slot->conn);\n}/; s/
    tcp_abort\(pcb\);\n            \}\n            rtpush_gone\(srv, conn\);/tcp_abort(pcb);
    \n            }\n            (void)srv; (void)conn;/
abort_still_served 2.1-HEAP s/\(slot->flags & RTPI_LWIP_ABORT\) \|\| (slot->pcb)/\1/
finished_still_served 2.1-HEAP s/ \|\| slot->pcb == NULL//
# tcp_recved: once, for what was taken, and a FIN behind it
recved_never 2.1-HEAP s/tcp_recved\(slot->pcb, \(u16_t\)sum\);//
recved_twice 2.1-HEAP
    s/tcp_recved\(slot->pcb, \(u16_t\)sum\);/tcp_recved(slot->pcb, (u16_t)sum);
    tcp_recved(slot->pcb, (u16_t)sum);/
recved_early 2.1-HEAP s/sum \+= \(uint32_t\)taken;/sum += len;/
eof_before_held_bytes 2.1-HEAP
    s/if \(slot->held == NULL && \(slot->flags & RTPI_LWIP_PEER_FIN\)/
    if ((slot->flags \& RTPI_LWIP_PEER_FIN)/
eof_never 2.1-HEAP s/rtpush_eof\(srv, slot->conn\);/;/
empty_pbuf_kept 2.1-HEAP s/rtpi_lwip_consume\(slot->held,/pbuf_free_header(slot->held,/
held_bytes_forgotten 2.1-HEAP s/pbuf_cat\(slot->held, p\);/pbuf_free(p);/
# pbufs held are few
no_limit_for_one 2.1-SMALL s/before >= RTPUSH_LWIP_HOLD && p != NULL/0/
no_limit_for_all 2.1-SMALL s/port->held \+ arrived > RTPUSH_LWIP_HOLD_ALL/0/
no_limit_for_the_first 2.1-SMALL s/slot->pbufs > before && port->held > RTPUSH_LWIP_HOLD_ALL/0/
refused_not_counted 2.1-HEAP s/rtpi_lwip_recount\(slot, arrived\);//
refused_forgotten 2.1-HEAP
    s/rtpi_lwip_clen\(slot->pcb->refused_data\) \+ refused/refused/
# ERR_MEM is normal: nothing is lost, and it is tried again
no_memory_advances 2.1-HEAP
    s/rtpi_lwip_set_blocked\(slot, 1\);\n    return 0;/rtpi_lwip_set_blocked(slot, 1);
    \n    return len;/
no_memory_ends_it 2.1-HEAP
    s/rtpi_lwip_set_blocked\(slot, 1\);\n    return 0;/return RTPI_LWIP_FAILED;/
no_memory_unnoticed 2.1-HEAP s/rtpi_lwip_set_blocked\(slot, 1\);\n    return 0;/return 0;/
no_retry_by_turn 2.1-HEAP s/    rtpi_lwip_retry\(port, now_ms\);//
no_retry_by_tcp_poll 2.1-HEAP
    s/if \(slot->flags & RTPI_LWIP_BLOCKED\) \{\n        rtpi_lwip_serve\(slot, 0\);/if (0) {/
no_service_when_acked 2.1-HEAP
    s/rtpi_lwip_serve\(slot, len\);/rtpush_acked(rtpi_lwip_server(slot), slot->conn, len);/
in_flight_gets_memory_first 2.1-HEAP s/ &&\n            tcp_sndqueuelen\(slot->pcb\) == 0//
in_flight_alone_gets_memory_first 2.1-HEAP s/tcp_sndqueuelen\(slot->pcb\) == 0/!(&)/
nobody_gets_memory_first 2.1-HEAP s/\(sys_now\(\) & 1024u\) != 0/0/
turn_oversleeps 2.1-HEAP s/port->blocked > 0 && port->retry_ms/0 \&\& port->retry_ms/
added_to_a_retransmission 2.1-HEAP s/!rtpi_lwip_in_order\(pcb\)/0/g
other_errors_ignored 2.1-HEAP
    s/return RTPI_LWIP_FAILED;\n    \}\n    rtpi_lwip_set_blocked/return 0;
    \n    }\n    rtpi_lwip_set_blocked/
# use after free
pcb_used_in_err 2.1-HEAP-asan
    s/(rtpush_conn \*conn = slot->conn;\n    \(void\)err;)/\1 (void)rtpi_lwip_release(slot);/
pcb_aborted_in_err 2.1-HEAP
    s/(rtpush_conn \*conn = slot->conn;\n    \(void\)err;)/\1 tcp_abort(slot->pcb);/
slot_kept_in_err 2.1-HEAP s/\(void\)err;\n    rtpi_lwip_slot_give\(slot\);/(void)err;/
gone_not_told 2.1-HEAP
    s/\(void\)err;\n    rtpi_lwip_slot_give\(slot\);\n    rtpush_gone\(srv, conn\);/
    (void)err; (void)srv; (void)conn;\n    rtpi_lwip_slot_give(slot);/
callbacks_kept_by_abort 2.1-HEAP s/tcp_err\(pcb, NULL\);//
callbacks_kept_by_detach 2.1-HEAP s/tcp_poll\(pcb, NULL, 0\);//
abort_in_its_own_callback 2.1-HEAP
    s/if \(moved < 0\) \{\n        rtpi_lwip_schedule_abort\(slot\);/
    if (moved < 0) {\n        rtpi_lwip_schedule_abort(slot);
    rtpi_lwip_abort_scheduled(slot->port);/; s/
    static void rtpi_lwip_serve/static void rtpi_lwip_abort_scheduled(rtpush_lwip *port);
    \nstatic void rtpi_lwip_serve/
time_wait_kept 2.1-HEAP
    s/\(slot->flags & RTPI_LWIP_PEER_FIN\) && \(slot->flags & RTPI_LWIP_FIN\)/0/
poll_inside_a_callback 2.1-HEAP s/if \(port->depth > 0\) \{/if (0) {/
# the end of connections: a reset would take the last answer with it
abort_is_a_close 2.1-HEAP s/\(reset \|\| tcp_close\(pcb\) != ERR_OK\)/tcp_close(pcb) != ERR_OK/
close_is_an_abort 2.1-HEAP s/\(reset \|\| tcp_close\(pcb\) != ERR_OK\)/1/
drop_keeps_the_slot 2.1-HEAP s/(\(void\)conn;)\n    rtpi_lwip_slot_give\(slot\);/\1/
held_bytes_leak 2.1-HEAP s/pbuf_free\(slot->held\);\n        slot->held = NULL;/slot->held = NULL;/
close_keeps_listeners 2.1-HEAP s/\(void\)tcp_close\(port->listeners\[i\].pcb\);//
close_keeps_connections 2.1-HEAP s/rtpi_lwip_schedule_abort\(&port->desc.slots\[i\]\);/;/
# one PCB for each connection, priorities
accept_without_a_slot 2.1-HEAP
    s/if \(slot->conn == NULL\) \{\n        rtpi_lwip_slot_give\(slot\);\n        return ERR_MEM;/
    if (slot->conn == NULL) {\n        rtpi_lwip_slot_give(slot);\n        return ERR_OK;/
accept_of_no_pcb 2.1-SMALL s/err != ERR_OK(\) \{ \/\/ lwIP)/0\1/
no_backlog 2.1-HEAP s/pcb, port->desc.backlog, &err/pcb, 255, \&err/
idle_not_first 2.1-SMALL
    s/tcp_setprio\(slot->pcb, TCP_PRIO_MIN\);/;/; s/tcp_setprio\(pcb, TCP_PRIO_MIN\);/;/
stream_not_last 2.1-SMALL s/!rtpi_lwip_is_stream\(slot\)/1/
own_pcb_taken 2.1-SMALL s/tcp_setprio\(slot->pcb, TCP_PRIO_NORMAL\);/;/
listen_leaks 2.1-HEAP s/tcp_abort\(pcb\);\n        return err;/return err;/
# latency
nagle 2.1-HEAP s/tcp_nagle_disable\(pcb\);//
not_sent_at_once 2.1-HEAP s/\(void\)tcp_output\(slot->pcb\);/;/
never_push 2.1-HEAP
    s/flags = more && len == want \? TCP_WRITE_FLAG_MORE : 0;/flags = TCP_WRITE_FLAG_MORE;/
always_push 2.1-HEAP s/flags = more && len == want \? TCP_WRITE_FLAG_MORE : 0;/flags = 0;/
# contexts
poll_anywhere 2.1-HEAP s/0xFFFFFFFFu;\n    LWIP_ASSERT_CORE_LOCKED\(\);/0xFFFFFFFFu;/
close_anywhere 2.1-HEAP s/LWIP_ASSERT_CORE_LOCKED\(\);\n    LWIP_ASSERT/LWIP_ASSERT/
listen_anywhere 2.1-HEAP
    s/err_t err;\n    LWIP_ASSERT_CORE_LOCKED\(\);/err_t err;/
init_anywhere 2.1-HEAP s/struct pbuf rom;\n    LWIP_ASSERT_CORE_LOCKED\(\);/struct pbuf rom;/
no_wake 2.1-HEAP s/hooks.wake = rtpi_lwip_on_wake;//
no_lock 2.1-HEAP s/port->desc.lock\(port->desc.ctx\);//; s/port->desc.unlock\(port->desc.ctx\);//
lock_not_asked_for 2.1-HEAP s/desc->lock == NULL && !RTPI_LWIP_PROTECT/0/
timer_once 2.1-HEAP s/sys_timeout\(due_ms [^;]*;//
# the peer value: what one subscriber has
peer_is_the_whole_address 2.1-HEAP s/i < 8; i\+\+/i < 16; i++/
peer_is_half_a_network 2.1-HEAP s/i < 8; i\+\+/i < 4; i++/
peer_is_one 2.1-HEAP s/return peer \? peer : 1u/return 1u/
TABLE
}

# One mutant: compiled, then tried against the rules, random runs, allocations that fail.
try() {
    name="$1"
    line="$(table | grep "^$name ")"
    build="${line#* }"
    expression="${build#* }"
    build="${build%% *}"
    dir="$top/$name"
    mkdir -p "$dir"
    sed -zE "$expression" ports/rtpush_lwip.h >"$dir/rtpush_lwip.h"
    if cmp -s ports/rtpush_lwip.h "$dir/rtpush_lwip.h"; then
        echo "FAIL $name: its expression does not apply any more"
        return
    fi
    case "$build" in
        *-asan) sanitize='-O0 -g1 -fsanitize=address,undefined' ;;
        *) sanitize='-O0' ;;
    esac
    config="${build#*-}"
    objects="build/lwip/objects/$build"
    others="$objects/lwip.o $objects/memory.o $objects/stack.o"
    # shellcheck disable=SC2086 # options are meant to split
    if ! ${CC:-gcc} -std=gnu99 $sanitize -w -DSIM_LWIP="$(echo "${build%%-*}" | tr -d .)" \
        -DSIM_"${config%-asan}" -Itests/lwip/include \
        -isystem "build/lwip/${build%%-*}/src/include" -I. -I"$dir" -Itests/lwip \
        tests/lwip/sim.c $others "build/lwip/objects/${build%%-*}-peers.local.o" \
        -o "$dir/sim" >"$dir/log" 2>&1; then
        echo "FAIL $name: does not compile, see $dir/log"
        return
    fi
    for way in 'rules' 'seeds 1 40' 'allocs 1 11'; do
        # shellcheck disable=SC2086 # arguments
        timeout 600 "$dir/sim" $way >"$dir/log" 2>&1 </dev/null
        status=$?
        if [ "$status" = 124 ]; then # each run has a limit of CPU: so this says nothing
            echo "FAIL $name: \`$way\` did not end in 600 s"
            return
        elif [ "$status" != 0 ]; then
            by="$(sed -n 's/^FAIL \([^(]*\) (.*/\1/p' "$dir/log" | sort | head -n 2 | tr '\n' ',')"
            why="$(sed -n 's/^tests[^:]*:[0-9]*: //p' "$dir/log" | head -n 1)"
            rm -f "$dir/sim"
            echo "killed $name: ${by%,}: ${why%% in: *}"
            return
        fi
    done
    echo "FAIL $name: lives"
}

if [ "${1:-}" = --try ]; then
    try "$2"
    exit 0
fi
mkdir -p "$top"
# shellcheck disable=SC2046 # names are meant to split
if ! sh tests/lwip/fetch.sh ||
    ! sh tests/lwip/build.sh $(table | cut -d ' ' -f 2 | sort -u) \
        >"$top/log.build" 2>&1; then
    cat "$top/log.build"
    echo '0 passed, 1 failed'
    exit 1
fi
table | cut -d ' ' -f 1 | grep -x -- "${1:-.*}" |
    xargs -P 2 -n 1 sh tests/lwip/mutants.sh --try >"$top/log"
sort "$top/log"
passed="$(grep -c '^killed' "$top/log")"
failed="$(grep -vc '^killed' "$top/log")"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
