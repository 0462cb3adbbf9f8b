/* A stub of NVIDIA's management library: devices of made-up figures, answering as fast as a library can.
 * STUB_NVML_DEVICES says how many there are (1), STUB_NVML_PROCESS the id of a process on the first one (nobody), each further
 * device having the next id.
 * It stands in for libnvidia-ml.so.1 where there is no GPU, so that the cost of speaking to such a library can be
 * measured; a real driver takes longer per call. Only what Joulebook and codecarbon ask for is here.
 * Preloaded, it also shows the device node by which a program sees that a driver is there at all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef int result;
enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, MOST = 16 };
static int devices[MOST];

static unsigned number_of(const char *name, unsigned otherwise) {
    const char *value = getenv(name);
    return value ? (unsigned)atoi(value) : otherwise;
}

static unsigned index_of(void *handle) { return (unsigned)((int *)handle - devices); }

static unsigned long long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static result text(char *out, unsigned length, const char *value) { snprintf(out, length, "%s", value); return SUCCESS; }

result nvmlInit_v2(void) { return SUCCESS; }
result nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
result nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(result code) { return code == SUCCESS ? "Success" : "Not Supported"; }
result nvmlSystemGetDriverVersion(char *out, unsigned length) { return text(out, length, "000.00"); }
result nvmlSystemGetNVMLVersion(char *out, unsigned length) { return text(out, length, "00.000.00"); }
static unsigned how_many(void) {
    unsigned number = number_of("STUB_NVML_DEVICES", 1);
    return number < MOST ? number : MOST;
}
result nvmlDeviceGetCount_v2(unsigned *count) { *count = how_many(); return SUCCESS; }
result nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    if (index >= how_many()) return NOT_FOUND;
    *handle = &devices[index];
    return SUCCESS;
}
result nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    unsigned index = strlen(uuid) > 2 ? (unsigned)strtoul(uuid + strlen(uuid) - 2, NULL, 16) : 0;
    return nvmlDeviceGetHandleByIndex_v2(index, handle);
}
result nvmlDeviceGetIndex(void *handle, unsigned *index) { *index = index_of(handle); return SUCCESS; }
result nvmlDeviceGetMinorNumber(void *handle, unsigned *number) { *number = index_of(handle); return SUCCESS; }
result nvmlDeviceGetName(void *handle, char *out, unsigned length) { (void)handle; return text(out, length, "Stub GPU"); }
result nvmlDeviceGetUUID(void *handle, char *out, unsigned length) {
    snprintf(out, length, "GPU-00000000-0000-0000-0000-0000000000%02x", index_of(handle));
    return SUCCESS;
}
result nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    (void)handle;
    *millijoules = milliseconds() * 70; /* 70 W since the machine started */
    return SUCCESS;
}
result nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) { (void)handle; *milliwatts = 70000; return SUCCESS; }
result nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *milliwatts) { (void)handle; *milliwatts = 700000; return SUCCESS; }
result nvmlDeviceGetPowerManagementLimit(void *handle, unsigned *milliwatts) { (void)handle; *milliwatts = 700000; return SUCCESS; }
result nvmlDeviceGetPowerManagementDefaultLimit(void *handle, unsigned *milliwatts) { (void)handle; *milliwatts = 700000; return SUCCESS; }
result nvmlDeviceGetPowerManagementLimitConstraints(void *handle, unsigned *least, unsigned *most) {
    (void)handle;
    *least = 200000;
    *most = 700000;
    return SUCCESS;
}
result nvmlDeviceGetUtilizationRates(void *handle, unsigned rates[2]) { (void)handle; rates[0] = rates[1] = 10; return SUCCESS; }
result nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *degrees) { (void)handle; (void)sensor; *degrees = 40; return SUCCESS; }
result nvmlDeviceGetComputeMode(void *handle, int *mode) { (void)handle; *mode = 0; return SUCCESS; }
result nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *pending) { (void)handle; (void)now; (void)pending; return NOT_SUPPORTED; }
result nvmlDeviceGetMemoryInfo(void *handle, unsigned long long bytes[3]) {
    (void)handle;
    bytes[0] = 80ull << 30;
    bytes[2] = 1ull << 30;
    bytes[1] = bytes[0] - bytes[2];
    return SUCCESS;
}
static result nobody(unsigned *count) { *count = 0; return SUCCESS; }
struct holder { unsigned pid; unsigned long long bytes; unsigned instance, compute_instance; };
static unsigned process_on(void *handle) {
    unsigned first = number_of("STUB_NVML_PROCESS", 0);
    return first ? first + index_of(handle) : 0;
}
static result holders(void *handle, unsigned *count, struct holder *out) {
    unsigned pid = process_on(handle);
    if (!pid) return nobody(count);
    if (*count < 1 || !out) { *count = 1; return INSUFFICIENT_SIZE; }
    *out = (struct holder){pid, 1ull << 30, ~0u, ~0u};
    *count = 1;
    return SUCCESS;
}
result nvmlDeviceGetComputeRunningProcesses(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned *count, void *out) { return holders(handle, count, out); }
result nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *out) { return holders(handle, count, out); }
result nvmlDeviceGetGraphicsRunningProcesses(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetGraphicsRunningProcesses_v2(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
struct sample { unsigned pid; unsigned long long at; unsigned sm, memory, encoder, decoder; };
result nvmlDeviceGetProcessUtilization(void *handle, struct sample *out, unsigned *count, unsigned long long since) {
    (void)since;
    unsigned pid = process_on(handle);
    if (!pid) return nobody(count);
    if (*count < 1 || !out) { *count = 1; return INSUFFICIENT_SIZE; }
    *out = (struct sample){pid, milliseconds() * 1000, 80, 40, 0, 0};
    *count = 1;
    return SUCCESS;
}

typedef int statter(const char *, void *);
static int with_device_node(const char *name, const char *path, void *out) {
    statter *of_libc = (statter *)dlsym(RTLD_NEXT, name);
    return of_libc(strcmp(path, "/dev/nvidiactl") ? path : "/dev/null", out);
}
int stat(const char *restrict path, struct stat *restrict out) { return with_device_node("stat", path, out); }
int stat64(const char *restrict path, struct stat64 *restrict out) { return with_device_node("stat64", path, out); }
