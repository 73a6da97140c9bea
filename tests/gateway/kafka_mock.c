// A broker of Kafka for the tests: librdkafka's mock cluster, which keeps messages in memory.
//     kafka_mock PORT[:SAID] TOPIC=PARTITIONS...
// SAID: the port that clients are told to use, of a proxy that speaks TLS and passes the bytes on.
// Commands on standard input, a line each; "ok" is printed when it is done. It ends at the end of
// its input.
//     down, up                 closes all connections and refuses new ones; takes them again
//     fail REQUEST ERROR N     the next N requests with this number of the protocol (0: Produce,
//                              1: Fetch, 2: ListOffsets) are answered with this error
//     topic NAME ERROR         what is said about a topic, 0: nothing wrong

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE // syscall
#endif

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static in_port_t port;
static in_port_t said;
static int is_ready; // the topics are there

// The mock listens on a port that the system chooses. This is called in the place of the system's
// function, and gives it the port that was asked for, so that a broker can start again.
int bind(int fd, const struct sockaddr *addr, socklen_t len) {
    struct sockaddr_in to;
    memcpy(&to, addr, sizeof(to) < len ? sizeof(to) : len);
    to.sin_port = htons(port);
    return (int)syscall(SYS_bind, fd, (struct sockaddr *)&to, len);
}

// By this the mock learns its port, for its answers to clients.
int getsockname(int fd, struct sockaddr *addr, socklen_t *len) {
    const int result = (int)syscall(SYS_getsockname, fd, addr, len);
    if (result == 0 && addr->sa_family == AF_INET) {
        const in_port_t number = htons(said);
        memcpy((char *)addr + offsetof(struct sockaddr_in, sin_port), &number, sizeof(number));
    }
    return result;
}

// Nobody is let in before the topics are there: the mock makes each that a client asks for and that
// it does not know, with four partitions.
int accept(int fd, struct sockaddr *addr, socklen_t *len) {
    if (!__atomic_load_n(&is_ready, __ATOMIC_ACQUIRE)) {
        errno = EAGAIN;
        return -1;
    }
    return (int)syscall(SYS_accept, fd, addr, len);
}

static int obey(rd_kafka_mock_cluster_t *cluster, const char *line) {
    char name[100];
    int request;
    int error;
    int count;
    if (strcmp(line, "down\n") == 0) {
        return rd_kafka_mock_broker_set_down(cluster, -1) == RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (strcmp(line, "up\n") == 0) {
        return rd_kafka_mock_broker_set_up(cluster, -1) == RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (sscanf(line, "fail %d %d %d", &request, &error, &count) == 3) {
        for (; count > 0; count--) {
            rd_kafka_mock_push_request_errors(cluster, (int16_t)request, 1, error);
        }
        return 1;
    }
    if (sscanf(line, "topic %99s %d", name, &error) == 2) {
        rd_kafka_mock_topic_set_error(cluster, name, (rd_kafka_resp_err_t)error);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    char line[200];
    char why[200];
    if (argc < 2) {
        fputs("usage: kafka_mock PORT[:SAID] TOPIC=PARTITIONS...\n", stderr);
        return 2;
    }
    const char *other = strchr(argv[1], ':');
    port = (in_port_t)atoi(argv[1]);
    said = other != NULL ? (in_port_t)atoi(other + 1) : port;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
    rd_kafka_mock_cluster_t *cluster = rk ? rd_kafka_mock_cluster_new(rk, 1) : NULL;
    if (cluster == NULL) {
        fputs("kafka_mock: it cannot be started\n", stderr);
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        char *count = strchr(argv[i], '=');
        if (count != NULL) {
            *count++ = '\0';
            rd_kafka_mock_topic_create(cluster, argv[i], atoi(count), 1);
        }
    }
    __atomic_store_n(&is_ready, 1, __ATOMIC_RELEASE);
    printf("listening on %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        puts(obey(cluster, line) ? "ok" : "no such command");
        fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return 0;
}
