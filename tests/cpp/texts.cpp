// What a program gets wrong at run time is a text of begin(), not a silent server.
#include <stdio.h>
#include "rtpush.h"
#include "ports/rtpush.hpp"

typedef rtpush::Server<1, 256, 256, 256, 2, 1, 8> Small;
static Small fits, routes, topics, epoch, value, path;
static unsigned passed, failed;

static void nothing(rtpush::Request &) {}

// wanted: what the text has in it, nullptr: none.
static void says(const char *name, Small &server, const char *wanted) {
    const char *text = server.begin();
    if (text == wanted || (text != nullptr && wanted != nullptr && strstr(text, wanted))) {
        passed++;
    } else {
        failed++;
        printf("FAIL %s: %s, wanted %s\n", name, text ? text : "(none)", wanted ? wanted : "(none)");
    }
}

int main() {
    fits.desc.epoch = routes.desc.epoch = topics.desc.epoch = 1;
    value.desc.epoch = path.desc.epoch = 1;
    fits.on("/a", nothing);
    fits.on("/b", nothing);
    fits.state("a", 8);
    says("what fits", fits, nullptr);
    routes.on("/a", nothing);
    routes.on("/b", nothing);
    routes.on("/c", nothing);
    says("a route too many", routes, "more routes");
    topics.on("/a", nothing);
    topics.event("a");
    topics.event("b");
    says("a topic too many", topics, "more routes or topics");
    epoch.on("/a", nothing);
    says("no epoch", epoch, "epoch");
    value.on("/a", nothing);
    value.state("a", 64);
    says("State too small", value, "memory_size");
    path.on("a", nothing);
    says("a path without a slash", path, "path");
    if (fits.topic("none").publish("x") == RTPUSH_ERR_ARGUMENT && fits.topic("a").publish("x") == 0) {
        passed++;
    } else {
        failed++;
        printf("FAIL a topic is found by its name, and only then\n");
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
