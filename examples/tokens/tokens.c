// tokens - the answer of a language model in every page, while it is being made
//
// Shows SSE that is resumed in the middle of an answer, and POST for what a page has to say. A
// command reads the prompt; what it prints are the tokens. For a PC or a gateway: it needs
// processes.
//
// Build:  make build/examples/tokens
// Type:   build/examples/tokens -- ollama run llama3.2    (without a command: a script of its own)
//         open the page twice, ask something, reload one page in the middle of the answer
// See:    both write the same, the reloaded one all of it; Stop ends the command
//
// One answer at a time. prompt, token and end are topics of one log, so their order is kept, and a
// page that comes back gets what it missed by the id of the last event that it saw.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: kill, setpgid
#endif

#include "../shared/app.h"
#include "ports/rtpush_json.h"
#include "tokens_page.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROMPT, TOKEN, END, TOPICS };
enum { RX = 1536, TX = 512, PROMPT_MAX = 1024, LOG_SIZE = 256 * 1024, TURN_MS = 15,
       KILL_MS = 2000 };

static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG_SIZE, TOPICS, 0)];
static const rtpush_topic topics[TOPICS] = {{"prompt", &rtpush_topic_event, 0, 0},
                                            {"token", &rtpush_topic_event, 0, 0},
                                            {"end", &rtpush_topic_event, 0, 0}};
static enum { READY, RUNNING, STOPPING } state;
static uint32_t clock_ms, stop_ms;
static uint8_t held[512]; // read, and not published yet
static size_t held_len;

// -- the command ----------------------------------------------------------------------------------

static char script[] =
    "set -f; for word in Each word of this answer is an event with an id. Reload this page, or "
    "take its network away: it comes back at the word where it was. You asked: $(cat); "
    "do printf '%s ' \"$word\"; sleep 0.06; done";
static char *own[] = {"sh", "-c", script, NULL};
static char **words = own;
static pid_t child;
static int output;

static void command(char **argv) {
    words = argv;
}

static int command_start(const void *prompt, size_t len) {
    int fds[4] = {-1, -1, -1, -1}; // its input, its output
    // A prompt always fits into an empty pipe, so nobody waits here, whatever the command does.
    const int ready = pipe(fds) == 0 && pipe(fds + 2) == 0 && write(fds[1], prompt, len) >= 0;
    child = ready ? fork() : -1;
    if (child == 0) {
        setpgid(0, 0); // what it starts is ended with it
        dup2(fds[0], 0);
        dup2(fds[3], 1);
    }
    for (int i = 0; i < 4; i++) {
        if (i != 2 || child <= 0) {
            close(fds[i]);
        }
    }
    if (child == 0) { // the sockets close by themselves
        execvp(words[0], words);
        _exit(127);
    }
    if (child < 0) {
        return -1;
    }
    setpgid(child, child); // here too: whichever of the two is first
    output = fds[2];
    fcntl(output, F_SETFD, FD_CLOEXEC);
    return fcntl(output, F_SETFL, O_NONBLOCK);
}

// Its exit status.
static int command_end(void) {
    int status = 0;
    kill(-child, SIGKILL); // changes nothing where it is ending by itself
    waitpid(child, &status, 0);
    close(output);
    state = READY;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void end(void) {
    if (state != READY) {
        (void)command_end();
    }
}

// -- the server -----------------------------------------------------------------------------------

// What is whole characters: a read ends anywhere, but an event is valid UTF-8. A byte that is not
// becomes a question mark.
static void publish(rtpush_server *srv, int last) {
    size_t whole = held_len;
    while (whole > 0 && rtpush_utf8(0, held, whole) != 0) {
        whole--;
    }
    if (whole == 0 && held_len > 0 &&
        (last || rtpush_utf8(0, held, held_len) == RTPUSH_UTF8_BAD)) {
        held[0] = '?';
        whole = 1;
    }
    if (whole > 0 && rtpush_publish(srv, TOKEN, held, whole) == RTPUSH_OK) {
        held_len -= whole;
        memmove(held, held + whole, held_len);
    }
}

// Reads at most that much in TURN_MS: a command that floods waits, and readers keep up.
static uint32_t step(rtpush_server *srv, uint32_t now_ms) {
    clock_ms = now_ms;
    if (state == READY) {
        return UINT32_MAX;
    }
    const ssize_t n = read(output, held + held_len, sizeof held - held_len);
    const int none = n < 0 && (errno == EAGAIN || errno == EINTR);
    const int last = !none && n <= 0 && held_len < sizeof held;
    held_len += n > 0 ? (size_t)n : 0;
    publish(srv, last);
    if ((last && held_len == 0) || (state == STOPPING && now_ms - stop_ms > KILL_MS)) {
        const int stopped = state == STOPPING;
        const int32_t status = command_end();
        held_len = 0;
        (void)rtpush_json_event(srv, END, 32, stopped ? "stopped" : status ? "failed %d" : "done",
                                status);
    }
    return TURN_MS;
}

// POST /prompt: the body is the prompt.
static void on_prompt(rtpush_server *srv, const rtpush_request *req) {
    if (state != READY) {
        rtpush_reply_text(srv, req->conn, 409, "an answer is being written");
    } else if (req->body_len == 0 || rtpush_utf8(0, req->body, req->body_len) != 0) {
        rtpush_reply_text(srv, req->conn, 400, "a prompt is text, and not empty");
    } else if (command_start(req->body, req->body_len) < 0) {
        rtpush_reply_text(srv, req->conn, 503, "no more processes");
    } else {
        state = RUNNING;
        (void)rtpush_publish(srv, PROMPT, req->body, req->body_len);
        rtpush_reply_text(srv, req->conn, 200, NULL);
    }
}

static void on_stop(rtpush_server *srv, const rtpush_request *req) {
    if (state == RUNNING) {
        state = STOPPING;
        stop_ms = clock_ms;
        kill(-child, SIGTERM);
    }
    rtpush_reply_text(srv, req->conn, 200, NULL); // also where it has just ended
}

static const rtpush_route routes[] = {
    {.path = "/events", .kind = &rtpush_events, .flags = RTPUSH_FROM_FIRST},
    {.path = "/prompt", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = PROMPT_MAX,
     .on_request = on_prompt},
    {.path = "/stop", .kind = &rtpush_handler, .methods = RTPUSH_POST, .on_request = on_stop},
    APP_PAGE,
};

const app example = {
    .name = "tokens",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .topics = topics,
             .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
             .conn_count = CONNS, .max_streams = STREAMS, .rx_size = RX, .tx_size = TX,
             .log_size = LOG_SIZE},
    .step = step, .command = command, .end = end,
    .usage = "  -- COMMAND ...  last: what reads the prompt and prints the tokens\n"};
