/* A stub of NVIDIA's management library: one device of made-up figures, answering as fast as a library can.
 * It stands in for libnvidia-ml.so.1 where there is no GPU, so that the cost of speaking to such a library can be
 * measured; a real driver takes longer per call. Only what Joulebook and codecarbon ask for is here.
 * Preloaded, it also shows the device node by which a program sees that a driver is there at all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef int result;
enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
static int device;

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
result nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
result nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = &device; return index ? NOT_FOUND : SUCCESS; }
result nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) { (void)uuid; *handle = &device; return SUCCESS; }
result nvmlDeviceGetIndex(void *handle, unsigned *index) { (void)handle; *index = 0; return SUCCESS; }
result nvmlDeviceGetMinorNumber(void *handle, unsigned *number) { (void)handle; *number = 0; return SUCCESS; }
result nvmlDeviceGetName(void *handle, char *out, unsigned length) { (void)handle; return text(out, length, "Stub GPU"); }
result nvmlDeviceGetUUID(void *handle, char *out, unsigned length) {
    (void)handle;
    return text(out, length, "GPU-00000000-0000-0000-0000-000000000000");
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
result nvmlDeviceGetComputeRunningProcesses(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetGraphicsRunningProcesses(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetGraphicsRunningProcesses_v2(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, void *out) { (void)handle; (void)out; return nobody(count); }
result nvmlDeviceGetProcessUtilization(void *handle, void *out, unsigned *count, unsigned long long since) {
    (void)handle;
    (void)out;
    (void)since;
    return nobody(count);
}

typedef int statter(const char *, void *);
static int with_device_node(const char *name, const char *path, void *out) {
    statter *of_libc = (statter *)dlsym(RTLD_NEXT, name);
    return of_libc(strcmp(path, "/dev/nvidiactl") ? path : "/dev/null", out);
}
int stat(const char *restrict path, struct stat *restrict out) { return with_device_node("stat", path, out); }
int stat64(const char *restrict path, struct stat64 *restrict out) { return with_device_node("stat64", path, out); }
