#include "file_watch.h"

#include <sys/stat.h>

static uint64_t stamp_of(const rfm_texts *files)
{
    uint64_t stamp = 0; /* wraps */
    struct stat stat_;
    for (size_t i = 0; i < files->count; i++) {
        stamp *= 31;
        if (stat(files->items[i], &stat_) == 0)
            stamp += (uint64_t)stat_.st_mtim.tv_sec * 1000003 + (uint64_t)stat_.st_mtim.tv_nsec + stat_.st_ino +
                     (uint64_t)stat_.st_size;
    }
    return stamp;
}

void rfm_file_watch_init(rfm_file_watch *watch)
{
    *watch = (rfm_file_watch){0};
    rfm_arena_init(&watch->names);
}

void rfm_file_watch_release(rfm_file_watch *watch)
{
    rfm_arena_release(&watch->names);
}

static void copy_names(rfm_file_watch *watch, const rfm_texts *files)
{
    rfm_arena_reset(&watch->names);
    const char **items = rfm_arena_take(&watch->names, files->count * sizeof *items);
    for (size_t i = 0; i < files->count; i++) {
        rfm_bytes name = rfm_bytes_of(files->items[i], strlen(files->items[i]) + 1);
        items[i] = (const char *)rfm_arena_copy(&watch->names, name).at;
    }
    watch->files = (rfm_texts){items, files->count};
}

void rfm_file_watch_set(rfm_file_watch *watch, const rfm_texts *files)
{
    if (files->count > 0)
        copy_names(watch, files);
    watch->stamp = stamp_of(&watch->files);
}

bool rfm_file_watch_differs(const rfm_file_watch *watch)
{
    return stamp_of(&watch->files) != watch->stamp;
}
