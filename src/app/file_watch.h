/* Whether any of some files has changed, by what stat(2) says of them: their time, size and inode, or that they are not
 * there. Two changes of a file within the resolution of its time that leave its size are one. */
#ifndef RFM_APP_FILE_WATCH_H
#define RFM_APP_FILE_WATCH_H

#include "config/config.h"
#include <rfm/base/arena.h>

typedef struct rfm_file_watch {
    rfm_arena names;
    rfm_texts files;
    uint64_t stamp;
} rfm_file_watch;

void rfm_file_watch_init(rfm_file_watch *watch);
void rfm_file_watch_release(rfm_file_watch *watch);
/* From now on these, which are copied, as they are now; none at all: those from before. */
void rfm_file_watch_set(rfm_file_watch *watch, const rfm_texts *files);
bool rfm_file_watch_differs(const rfm_file_watch *watch); /* from when they were set */

#endif
