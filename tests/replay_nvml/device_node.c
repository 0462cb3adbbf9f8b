/* Preloaded, it shows the device node by which a program sees that a driver of NVIDIA is there at all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/stat.h>

typedef int statter(const char *, void *);
static int with_device_node(const char *name, const char *path, void *out) {
    statter *of_libc = (statter *)dlsym(RTLD_NEXT, name);
    return of_libc(strcmp(path, "/dev/nvidiactl") ? path : "/dev/null", out);
}
int stat(const char *restrict path, struct stat *restrict out) { return with_device_node("stat", path, out); }
int stat64(const char *restrict path, struct stat64 *restrict out) { return with_device_node("stat64", path, out); }
