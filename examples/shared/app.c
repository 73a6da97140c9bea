// What every main calls, for the example that is linked with it.

#include "app.h"

static rtpush_server server;

rtpush_server *app_start(uint32_t epoch, const char *const *hosts, const char **wrong) {
    rtpush_desc desc = example.desc;
    desc.epoch = epoch;
    desc.hosts = hosts;
    const int result = rtpush_init(&server, &desc);
    *wrong = rtpush_config_error(&server);
    if (result == RTPUSH_OK && example.start != NULL) {
        example.start(&server);
    }
    return result == RTPUSH_OK ? &server : NULL;
}

uint32_t app_step(uint32_t now_ms) {
    return example.step != NULL ? example.step(&server, now_ms) : UINT32_MAX;
}
