// See sensors.h. Formats: proc(5), and Documentation/ABI/testing/sysfs-class-{net,thermal,hwmon} of
// the Linux kernel.

#define _POSIX_C_SOURCE 200809L

#include "sensors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { LINE = 512, PATH = 320 };

// -- text -----------------------------------------------------------------------------------------

static void copy_text(char *out, size_t size, const char *text) {
    size_t len = strcspn(text, "\r\n");
    if (len >= size) {
        len = size - 1;
    }
    memcpy(out, text, len);
    out[len] = '\0';
}

// The first line of a small file; 0 if there is none.
static int read_line(const char *path, char *out, size_t size) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    const int found = fgets(out, (int)size, file) != NULL;
    fclose(file);
    if (found) {
        out[strcspn(out, "\r\n")] = '\0';
    }
    return found;
}

// The text after the colon of a "name<space>: value" line, or NULL if the line is another one.
static const char *value_of(const char *line, const char *name) {
    const size_t len = strlen(name);
    if (strncmp(line, name, len) != 0) {
        return NULL;
    }
    line += len;
    line += strspn(line, " \t");
    return *line == ':' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

// -- processor ------------------------------------------------------------------------------------

// Takes the counters of core `i` (0 all together) and returns its use since the last call.
static uint32_t core_use(sensors *s, uint32_t i, uint64_t busy, uint64_t all) {
    const uint64_t all_diff = all - s->last_all[i];
    const uint64_t busy_diff = busy - s->last_busy[i];
    s->last_all[i] = all;
    s->last_busy[i] = busy;
    // iowait may go back (proc(5)): then there is no meaningful difference.
    if (!s->ready || all_diff == 0 || busy_diff > all_diff) {
        return 0;
    }
    return (uint32_t)(busy_diff * 1000u / all_diff);
}

// "cpu  user nice system idle iowait irq softirq steal ...", then "cpu0 ..." for each core.
static void read_cpu_line(sensors *s, const char *line) {
    uint64_t all = 0;
    uint64_t idle = 0;
    const char *p = line + strcspn(line, " ");
    for (int field = 0; field < 8; field++) {
        char *end;
        const uint64_t value = strtoull(p, &end, 10);
        if (end == p) {
            break;
        }
        p = end;
        all += value;
        idle += field == 3 || field == 4 ? value : 0;
    }
    if (line[3] == ' ') {
        s->cpu_permille = core_use(s, 0, all - idle, all);
        return;
    }
    const uint32_t core = s->core_count++;
    if (core < SENSORS_MAX_CORES) {
        s->core_permille[core] = (uint16_t)core_use(s, core + 1, all - idle, all);
    }
}

static void read_cpu(sensors *s) {
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) {
        return;
    }
    char line[LINE];
    s->core_count = 0;
    while (fgets(line, sizeof line, file) != NULL && strncmp(line, "cpu", 3) == 0) {
        read_cpu_line(s, line);
    }
    fclose(file);
}

static void read_load(sensors *s) {
    char line[LINE];
    if (read_line("/proc/loadavg", line, sizeof line)) {
        char *p = line;
        for (int i = 0; i < 3; i++) {
            const unsigned long whole = strtoul(p, &p, 10); // "0.81 0.19 0.06 ..."
            const unsigned long part = *p == '.' ? strtoul(p + 1, &p, 10) : 0;
            s->load_centi[i] = (uint32_t)(whole * 100 + part);
        }
        s->load_count = 3;
    }
    if (read_line("/proc/uptime", line, sizeof line)) {
        s->uptime_s = (uint32_t)strtoul(line, NULL, 10);
    }
}

// -- memory ---------------------------------------------------------------------------------------

static void read_memory(sensors *s) {
    FILE *file = fopen("/proc/meminfo", "r");
    if (file == NULL) {
        return;
    }
    const struct {
        const char *name;
        uint32_t *value;
    } wanted[] = {
        {"MemTotal", &s->mem_total_kib}, {"MemAvailable", &s->mem_available_kib},
        {"Cached", &s->mem_cached_kib},  {"SwapTotal", &s->swap_total_kib},
        {"SwapFree", &s->swap_free_kib},
    };
    char line[LINE];
    while (fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            const char *value = value_of(line, wanted[i].name);
            if (value != NULL) {
                *wanted[i].value = (uint32_t)strtoul(value, NULL, 10);
            }
        }
    }
    fclose(file);
}

// Resident memory of this program, now and at most.
static void read_own_memory(sensors *s) {
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) {
        return;
    }
    sensors_gauge *gauge = &s->gauges[s->gauge_count++];
    *gauge = (sensors_gauge){.name = "This program", .unit = "B"};
    char line[LINE];
    while (fgets(line, sizeof line, file) != NULL) {
        const char *now = value_of(line, "VmRSS"); // in kB, which here means KiB
        const char *most = value_of(line, "VmHWM");
        if (now != NULL) {
            gauge->value = (uint32_t)strtoul(now, NULL, 10) * 1024u;
        }
        if (most != NULL) {
            gauge->high = (uint32_t)strtoul(most, NULL, 10) * 1024u;
        }
    }
    fclose(file);
}

// "0.81 0.19 0.06 2/345 ...": running now, of all there are.
static void read_tasks(sensors *s) {
    char line[LINE];
    if (!read_line("/proc/loadavg", line, sizeof line)) {
        return;
    }
    const char *slash = strchr(line, '/');
    const char *before = slash;
    while (before != NULL && before > line && before[-1] != ' ') {
        before--;
    }
    if (before != NULL) {
        s->gauges[s->gauge_count++] =
            (sensors_gauge){.name = "Tasks running",
                            .unit = "",
                            .value = (uint32_t)strtoul(before, NULL, 10),
                            .size = (uint32_t)strtoul(slash + 1, NULL, 10)};
    }
}

// -- network --------------------------------------------------------------------------------------

// A physical network card, not a bridge or tunnel, which would count the same bytes again. In a
// container no interface is marked as one: then all but loopback count.
static int is_card(const char *name) {
    char path[PATH];
    snprintf(path, sizeof path, "/sys/class/net/%.64s/device", name);
    return access(path, F_OK) == 0;
}

static void read_net_lines(FILE *file, int cards_only, sensors *s) {
    char line[LINE];
    s->net_rx_total = 0;
    s->net_tx_total = 0;
    s->net_count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL) {
            continue; // the two lines of headings
        }
        *colon = '\0';
        const char *name = line + strspn(line, " ");
        if (strcmp(name, "lo") == 0 || (cards_only && !is_card(name))) {
            continue;
        }
        char *p = colon + 1;
        uint64_t field[9] = {0}; // bytes received first, bytes sent ninth
        for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
            field[i] = strtoull(p, &p, 10);
        }
        s->net_rx_total += field[0];
        s->net_tx_total += field[8];
        s->net_count++;
    }
}

static uint32_t rate(uint64_t now, uint64_t before, uint32_t ms) {
    if (now < before || ms == 0) {
        return 0; // a card was removed
    }
    const uint64_t value = (now - before) * 1000u / ms;
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void read_net(sensors *s, uint32_t elapsed_ms) {
    FILE *file = fopen("/proc/net/dev", "r");
    if (file == NULL) {
        return;
    }
    const uint64_t rx = s->net_rx_total;
    const uint64_t tx = s->net_tx_total;
    read_net_lines(file, 1, s);
    if (s->net_count == 0) {
        rewind(file);
        read_net_lines(file, 0, s);
    }
    fclose(file);
    s->net_rx = s->ready ? rate(s->net_rx_total, rx, elapsed_ms) : 0;
    s->net_tx = s->ready ? rate(s->net_tx_total, tx, elapsed_ms) : 0;
}

// -- temperature ----------------------------------------------------------------------------------

static void add_temp(sensors *s, const char *name, const char *value) {
    const long milli = strtol(value, NULL, 10);
    // Boards report 0 or nonsense where nothing is connected.
    if (s->temp_count == SENSORS_MAX_TEMPS || milli <= -55000 || milli == 0 || milli > 200000) {
        return;
    }
    sensors_temp *temp = &s->temps[s->temp_count++];
    copy_text(temp->name, sizeof temp->name, name);
    temp->simulated = 0;
    temp->milli_celsius = (int32_t)milli;
}

// Every directory of `folder` whose name begins with `prefix` and holds the two files.
static void read_temps_in(sensors *s, const char *folder, const char *prefix, const char *name_file,
                          const char *value_file) {
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char path[PATH];
        char name[LINE];
        char value[LINE];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%.64s/%s", folder, entry->d_name, name_file);
        if (!read_line(path, name, sizeof name)) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%.64s/%s", folder, entry->d_name, value_file);
        if (read_line(path, value, sizeof value)) {
            add_temp(s, name, value);
        }
    }
    closedir(dir);
}

static void read_temps(sensors *s) {
    s->temp_count = 0;
    read_temps_in(s, "/sys/class/thermal", "thermal_zone", "type", "temp");
    if (s->temp_count == 0) {
        read_temps_in(s, "/sys/class/hwmon", "hwmon", "name", "temp1_input");
    }
}

// -- public ---------------------------------------------------------------------------------------

void sensors_init(sensors *s) {
    memset(s, 0, sizeof *s);
    struct utsname names;
    if (uname(&names) == 0) {
        copy_text(s->host, sizeof s->host, names.nodename);
        snprintf(s->system, sizeof s->system, "%.24s %.40s %.24s", names.sysname, names.release,
                 names.machine);
    }
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (file == NULL) {
        return;
    }
    char line[LINE];
    while (s->model[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *value = value_of(line, "model name"); // "Model" on a Raspberry Pi, at the end
        if (value == NULL) {
            value = value_of(line, "Model");
        }
        if (value != NULL) {
            copy_text(s->model, sizeof s->model, value);
        }
    }
    fclose(file);
}

void sensors_read(sensors *s, uint32_t now_ms) {
    const uint32_t elapsed_ms = now_ms - s->last_ms;
    s->last_ms = now_ms;
    read_cpu(s);
    read_load(s);
    read_memory(s);
    s->gauge_count = 0;
    read_own_memory(s);
    read_tasks(s);
    read_net(s, elapsed_ms);
    read_temps(s);
    s->ready = 1;
}

// There is nothing to switch on a PC.
void sensors_output(sensors *s, int on) {
    s->output = on != 0;
}
