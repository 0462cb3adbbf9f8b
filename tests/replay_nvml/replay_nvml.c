/* A stand-in for NVIDIA's management library that replays devices from a text file, so that the real Python binding can be tried
 * where no GPU is. REPLAY_NVML names the file; it is read again whenever it changed. README.md beside this file says what may stand
 * in it. Every function below has the name, the arguments and the structures of nvml.h. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef int result;
typedef unsigned long long wide;
enum { SUCCESS, UNINITIALIZED, INVALID, UNSUPPORTED, FORBIDDEN, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };
enum { DEVICES = 16, PARTS = 8, PROCESSES = 64, POINTS = 4096, ERRORS = 32, FIELDS = 8, WORD = 96 };
enum { KEPT_US = 5000000, TICK_US = 200000 };

struct error { char function[WORD]; int code; };
struct process { unsigned pid; wide bytes, since_us, until_us; }; /* of one that works: per cent in place of bytes */
struct device {
    char uuid[WORD], name[WORD];
    struct device *whole; /* of a part: the device it is a part of */
    unsigned is_there, slices, power, limit, processes, drawing, busy, errors, points, fields, parts;
    struct process computes[PROCESSES], draws[PROCESSES], works[PROCESSES];
    struct error failing[ERRORS];
    struct { wide at_us, millijoules; } counter[POINTS];
    struct { unsigned id, milliwatts; } field[FIELDS];
    struct device *part[PARTS];
};
/* A device keeps its place, and so its handle, for as long as the program runs; which are there now is in `present`. */
static struct device places[DEVICES * (PARTS + 1)], *present[DEVICES];
static unsigned taken, count, errors, slow_ms;
static struct error failing[ERRORS];
static int load, load_at_start, started;
static struct timespec read_at;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static wide now_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

static void add_process(struct process *list, unsigned *number, const char *words) {
    struct process *process = &list[*number];
    process->since_us = 0;
    process->until_us = ~0ull;
    if (*number < PROCESSES && sscanf(words, "%u %llu %llu %llu", &process->pid, &process->bytes, &process->since_us, &process->until_us) >= 2) ++*number;
}

static void add_error(struct error *list, unsigned *number, const char *words) {
    struct error *error = &list[*number];
    if (*number < ERRORS && sscanf(words, "%95s %d", error->function, &error->code) == 2) ++*number;
}

static struct device *new_device(struct device *whole, const char *words) {
    struct device *device;
    char uuid[WORD] = "";
    unsigned slices = 0, place = 0;
    sscanf(words, "%95s %u", uuid, &slices);
    while (place < taken && strcmp(places[place].uuid, uuid)) place++;
    if (place == sizeof places / sizeof *places || (whole ? whole->parts == PARTS : count == DEVICES)) abort();
    if (place == taken) taken++;
    device = &places[place];
    memset(device, 0, sizeof *device);
    snprintf(device->uuid, WORD, "%s", uuid);
    snprintf(device->name, WORD, "Replayed GPU");
    device->slices = slices;
    device->is_there = 1;
    if (!whole) present[count++] = device;
    device->limit = 700000;
    device->whole = whole;
    if (whole) whole->part[whole->parts++] = device;
    return device;
}

static struct device *take_line(struct device *device, const char *word, const char *words) {
    if (!strcmp(word, "gpu")) return new_device(NULL, words);
    if (!strcmp(word, "slow_ms")) slow_ms = (unsigned)atoi(words);
    else if (!strcmp(word, "driver")) load = atoi(words);
    else if (!strcmp(word, "error") && device) add_error(device->failing, &device->errors, words);
    else if (!strcmp(word, "error")) add_error(failing, &errors, words);
    if (!device) return device;
    if (!strcmp(word, "part")) return new_device(device->whole ? device->whole : device, words);
    if (!strcmp(word, "name")) snprintf(device->name, WORD, "%s", words);
    else if (!strcmp(word, "power_mw")) device->power = (unsigned)atoi(words);
    else if (!strcmp(word, "limit_mw")) device->limit = (unsigned)atoi(words);
    else if (!strcmp(word, "computes")) add_process(device->computes, &device->processes, words);
    else if (!strcmp(word, "draws")) add_process(device->draws, &device->drawing, words);
    else if (!strcmp(word, "works")) add_process(device->works, &device->busy, words);
    else if (!strcmp(word, "field") && device->fields < FIELDS)
        device->fields += sscanf(words, "%u %u", &device->field[device->fields].id, &device->field[device->fields].milliwatts) == 2;
    else if (!strcmp(word, "counter") && device->points < POINTS)
        device->points += sscanf(words, "%llu %llu", &device->counter[device->points].at_us, &device->counter[device->points].millijoules) == 2;
    return device;
}

static void read_script(void) {
    const char *path = getenv("REPLAY_NVML");
    struct stat status;
    FILE *file;
    char line[512], word[WORD];
    struct device *device = NULL;
    if (!path || stat(path, &status)) return;
    if (status.st_mtim.tv_sec == read_at.tv_sec && status.st_mtim.tv_nsec == read_at.tv_nsec) return;
    if (!(file = fopen(path, "r"))) return;
    read_at = status.st_mtim;
    count = errors = slow_ms = 0;
    for (unsigned i = 0; i < taken; i++) places[i].is_there = 0;
    load = 0;
    while (fgets(line, sizeof line, file)) {
        int length = 0;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%95s %n", word, &length) >= 1 && *word != '#') device = take_line(device, word, line + length);
    }
    fclose(file);
}

static result failure_in(const struct error *list, unsigned number, const char *function) {
    for (unsigned i = 0; i < number; i++)
        if (!strcmp(list[i].function, function) || !strcmp(list[i].function, "*")) return list[i].code;
    return SUCCESS;
}

/* Begin a call: take turns, read the script if it changed, be slow, and say how the call is to fail. */
static result enter(const char *function, const struct device *device) {
    unsigned wait_ms;
    result code;
    pthread_mutex_lock(&turn);
    read_script();
    wait_ms = slow_ms;
    if (wait_ms) {
        struct timespec pause = {wait_ms / 1000, wait_ms % 1000 * 1000000l};
        nanosleep(&pause, NULL);
    }
    if ((code = failure_in(failing, errors, function))) return code;
    if (device && !device->is_there) return LOST;
    if (strncmp(function, "nvmlInit", 8)) {
        if (started <= 0) return UNINITIALIZED;
        if (load != load_at_start) return LOST; /* the driver was loaded anew: what was opened before is gone */
    }
    return device ? failure_in(device->failing, device->errors, function) : SUCCESS;
}

static result leave(result code) { pthread_mutex_unlock(&turn); return code; }

#define ENTER(handle) do { result code = enter(__func__, handle); if (code) return leave(code); } while (0)

static result text(char *out, unsigned length, const char *value) {
    return snprintf(out, length, "%s", value) < (int)length ? SUCCESS : TOO_SMALL;
}

result nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    ENTER(NULL);
    if (started++ <= 0) load_at_start = load;
    return leave(SUCCESS);
}
result nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
result nvmlShutdown(void) {
    result code;
    pthread_mutex_lock(&turn);
    code = started > 0 ? SUCCESS : UNINITIALIZED;
    started -= started > 0;
    return leave(code);
}
const char *nvmlErrorString(result code) { return code ? "A replayed error" : "Success"; }

result nvmlDeviceGetCount_v2(unsigned *number) { ENTER(NULL); *number = count; return leave(SUCCESS); }
result nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **handle) {
    ENTER(NULL);
    if (index >= count) return leave(INVALID);
    *handle = present[index];
    return leave(failure_in(present[index]->failing, present[index]->errors, __func__));
}
result nvmlDeviceGetHandleByUUID(const char *uuid, struct device **handle) {
    ENTER(NULL);
    for (unsigned i = 0; i < taken; i++) {
        struct device *device = &places[i];
        if (device->is_there && !strcmp(device->uuid, uuid)) {
            *handle = device;
            return leave(failure_in(device->failing, device->errors, __func__));
        }
    }
    return leave(NOT_FOUND);
}
result nvmlDeviceGetUUID(struct device *handle, char *out, unsigned length) { ENTER(handle); return leave(text(out, length, handle->uuid)); }
result nvmlDeviceGetName(struct device *handle, char *out, unsigned length) { ENTER(handle); return leave(text(out, length, handle->name)); }

static wide energy_at(const struct device *device, wide at_us) {
    wide energy = 0;
    for (unsigned i = 0; i < device->points; i++) {
        wide since = device->counter[i].at_us, before = device->counter[i].millijoules;
        if (i && at_us < since) break;
        energy = before;
        if (i + 1 < device->points && at_us > since && at_us < device->counter[i + 1].at_us) {
            wide length = device->counter[i + 1].at_us - since;
            energy += (wide)((__int128)(device->counter[i + 1].millijoules - before) * (at_us - since) / length);
        }
    }
    return energy;
}
result nvmlDeviceGetTotalEnergyConsumption(struct device *handle, wide *millijoules) {
    ENTER(handle);
    if (!handle->points) return leave(UNSUPPORTED);
    *millijoules = energy_at(handle, now_us(CLOCK_MONOTONIC));
    return leave(SUCCESS);
}
result nvmlDeviceGetPowerUsage(struct device *handle, unsigned *milliwatts) {
    ENTER(handle);
    *milliwatts = handle->power;
    return leave(handle->power ? SUCCESS : UNSUPPORTED);
}
struct field { unsigned id, scope; long long at, took; int type; result code; union { double real; unsigned number; wide wide; } value; };
result nvmlDeviceGetFieldValues(struct device *handle, int number, struct field *fields) {
    ENTER(handle);
    for (int i = 0; i < number; i++) {
        fields[i].code = UNSUPPORTED;
        for (unsigned j = 0; j < handle->fields; j++)
            if (handle->field[j].id == fields[i].id) {
                fields[i].code = SUCCESS;
                fields[i].value.number = handle->field[j].milliwatts;
            }
    }
    return leave(SUCCESS);
}
result nvmlDeviceGetEnforcedPowerLimit(struct device *handle, unsigned *milliwatts) { ENTER(handle); *milliwatts = handle->limit; return leave(SUCCESS); }
result nvmlDeviceGetPowerManagementLimitConstraints(struct device *handle, unsigned *least, unsigned *most) {
    ENTER(handle);
    *least = 100000;
    *most = handle->limit;
    return leave(SUCCESS);
}

result nvmlDeviceGetMigMode(struct device *handle, unsigned *now, unsigned *pending) { ENTER(handle); *now = *pending = handle->parts > 0; return leave(SUCCESS); }
result nvmlDeviceGetMaxMigDeviceCount(struct device *handle, unsigned *number) { ENTER(handle); *number = PARTS; return leave(SUCCESS); }
result nvmlDeviceGetMigDeviceHandleByIndex(struct device *handle, unsigned index, struct device **part) {
    ENTER(handle);
    if (index >= handle->parts) return leave(NOT_FOUND);
    *part = handle->part[index];
    return leave(SUCCESS);
}
result nvmlDeviceGetDeviceHandleFromMigDeviceHandle(struct device *part, struct device **handle) { ENTER(part); *handle = part->whole; return leave(part->whole ? SUCCESS : INVALID); }
struct attributes { unsigned multiprocessors, copies, decoders, encoders, jpegs, flows, slices, compute_slices; wide memory_mb; };
result nvmlDeviceGetAttributes_v2(struct device *part, struct attributes *out) {
    ENTER(part);
    memset(out, 0, sizeof *out);
    out->slices = out->compute_slices = part->slices;
    return leave(part->slices ? SUCCESS : UNSUPPORTED);
}

struct holder { unsigned pid; wide bytes; unsigned instance, compute_instance; };
static result holders(const struct process *list, unsigned number, unsigned *room, struct holder *out) {
    unsigned had = *room;
    *room = number;
    if (!number) return SUCCESS;
    if (had < number || !out) return TOO_SMALL;
    for (unsigned i = 0; i < number; i++) out[i] = (struct holder){list[i].pid, list[i].bytes ? list[i].bytes : ~0ull, ~0u, ~0u};
    return SUCCESS;
}
result nvmlDeviceGetComputeRunningProcesses_v3(struct device *handle, unsigned *room, struct holder *out) {
    ENTER(handle);
    return leave(holders(handle->computes, handle->processes, room, out));
}
result nvmlDeviceGetGraphicsRunningProcesses_v3(struct device *handle, unsigned *room, struct holder *out) {
    ENTER(handle);
    return leave(holders(handle->draws, handle->drawing, room, out));
}
struct sample { unsigned pid; wide at_us; unsigned compute, memory, encoder, decoder; };
result nvmlDeviceGetProcessUtilization(struct device *handle, struct sample *out, unsigned *room, wide since_us) {
    wide now, first, at_us;
    unsigned number = 0, needed;
    ENTER(handle);
    if (handle->parts) return leave(UNSUPPORTED);
    now = now_us(CLOCK_REALTIME);
    first = since_us > now - KEPT_US ? since_us : now - KEPT_US;
    first = (first / TICK_US + 1) * TICK_US;
    needed = first > now ? 0 : (unsigned)((now - first) / TICK_US + 1) * handle->busy;
    if (!needed) return leave(NOT_FOUND);
    if (!out || *room < needed) { *room = needed + 4 * handle->busy; return leave(TOO_SMALL); }
    for (at_us = first; at_us <= now; at_us += TICK_US)
        for (unsigned i = 0; i < handle->busy; i++)
            if (at_us >= handle->works[i].since_us && at_us < handle->works[i].until_us) out[number++] = (struct sample){handle->works[i].pid, at_us, (unsigned)handle->works[i].bytes, 0, 0, 0};
    *room = number;
    return leave(number ? SUCCESS : NOT_FOUND);
}
