// Runs a sketch (SKETCH, its file) on this machine; the tests put their TCP port in.
#include "Arduino.h"
static int sketch_port;
#include SKETCH

int main(int argc, char **argv) {
    sketch_port = argc > 1 ? atoi(argv[1]) : 8080;
    setup();
    printf("listening on http://127.0.0.1:%d\n", sketch_port);
    fflush(stdout);
    for (;;) {
        loop();
    }
}
