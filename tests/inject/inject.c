#include "inject.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RANGES_MAX = 64 };

static struct range {
    uintptr_t begin, end, base;
} ranges[RANGES_MAX];
static size_t range_count;
static atomic_int thread_count;
static _Thread_local uint64_t dice;

void *inject_next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        _exit(134);
    return found;
}

long long inject_number(const char *variable, long long otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

/* Not by the C library's functions, some of which are ours. */
static int64_t steady_ms(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool inject_armed(void)
{
    static _Atomic int64_t armed_ms;
    int64_t at = atomic_load(&armed_ms);
    if (at == 0) {
        at = steady_ms() + inject_number("INJECT_AFTER_MS", 0);
        atomic_store(&armed_ms, at);
    }
    return steady_ms() >= at;
}

/* splitmix64 */
static uint64_t next_random(void)
{
    if (dice == 0)
        dice = (uint64_t)inject_number("INJECT_SEED", 1) * 1000003 + (uint64_t)atomic_fetch_add(&thread_count, 1) + 1;
    uint64_t mixed = dice += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

uint32_t inject_draw(uint32_t below)
{
    return (uint32_t)((next_random() >> 32) * below >> 32);
}

bool inject_roll(uint32_t per_million)
{
    return per_million > 0 && inject_draw(1000000) < per_million;
}

static bool is_wanted(const char *path)
{
    const char *names = getenv("INJECT_ALLOC_FROM");
    char name[64];
    if (*path == 0)
        return true; /* the program itself */
    while (names && *names) {
        size_t len = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, names);
        if (len > 0 && strstr(path, name))
            return true;
        names += len + (names[len] == ',');
    }
    return false;
}

static int note_object(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size, (void)context;
    for (size_t i = 0; i < object->dlpi_phnum && is_wanted(object->dlpi_name); i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || range_count == RANGES_MAX)
            continue;
        uintptr_t begin = object->dlpi_addr + part->p_vaddr;
        ranges[range_count++] = (struct range){begin, begin + part->p_memsz, object->dlpi_addr};
    }
    return 0;
}

static __attribute__((constructor)) void find_code(void)
{
    dl_iterate_phdr(note_object, NULL);
    (void)inject_armed();
}

static const struct range *range_of(uintptr_t address)
{
    for (size_t i = 0; i < range_count; i++)
        if (address >= ranges[i].begin && address < ranges[i].end)
            return &ranges[i];
    return NULL;
}

bool inject_is_own(uintptr_t address)
{
    return range_of(address) != NULL;
}

bool inject_is_program(uintptr_t address)
{
    const struct range *range = range_of(address);
    return range != NULL && range->base == ranges[0].base; /* the loader names it first */
}

void inject_report(const char *kind, unsigned long long number, const uintptr_t *callers, size_t count)
{
    const char *path = getenv("INJECT_REPORT");
    char line[512];
    if (!path)
        return;
    size_t len = (size_t)snprintf(line, sizeof line, "%s %llu", kind, number);
    for (size_t i = 0; i < count && len < sizeof line - 32; i++) {
        const struct range *range = range_of(callers[i]);
        len += (size_t)snprintf(line + len, sizeof line - len, " 0x%llx",
                                (unsigned long long)(callers[i] - (range ? range->base : 0)));
    }
    line[len++] = '\n';
    long file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return;
    syscall(SYS_write, file, line, len);
    syscall(SYS_close, file);
}

/* Who gives up, since not all libraries say why. */
void abort(void)
{
    void *callers[24];
    backtrace_symbols_fd(callers, backtrace(callers, 24), STDERR_FILENO);
    ((__typeof__(&abort))inject_next("abort"))();
    _exit(134);
}
