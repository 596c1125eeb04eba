/* The files of conf/, as they are shipped: put in by the build (cmake/Embed.cmake). */
#ifndef RFM_APP_SHIPPED_H
#define RFM_APP_SHIPPED_H

#include <stddef.h>

typedef struct rfm_shipped_file {
    const char *name; /* within conf/: "rules/welcome.yaml" */
    const unsigned char *at;
    size_t len;
} rfm_shipped_file;

extern const rfm_shipped_file rfm_shipped_files[];
extern const size_t rfm_shipped_file_count;

#endif
