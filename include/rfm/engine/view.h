/* What redo makes, in memory: the keys of one task as Redis would hold them. Replay keeps its states here, and the
 * simulator's Redis is made of it. */
#ifndef RFM_ENGINE_VIEW_H
#define RFM_ENGINE_VIEW_H

#include <rfm/engine/redo.h>

typedef struct rfm_view rfm_view;
rfm_view *rfm_view_new(void);
void rfm_view_free(rfm_view *view);
rfm_view *rfm_view_copy(const rfm_view *view);      /* a snapshot */
int rfm_view_apply(rfm_view *view, rfm_bytes part); /* RFM_E_CORRUPT, RFM_E_VERSION */
void rfm_view_set_wal(rfm_view *view, rfm_bytes value);
rfm_bytes rfm_view_wal(const rfm_view *view);
rfm_bytes rfm_view_get(const rfm_view *view, rfm_bytes key);   /* a string; at NULL: absent */
rfm_bytes rfm_view_client(const rfm_view *view, rfm_bytes id); /* the packed state; at NULL: unknown */
/* Answers a LOAD as Redis would; values are views that last until the next apply; room is the arena's. */
size_t rfm_view_load(const rfm_view *view, const rfm_effect *load, rfm_arena *arena, const rfm_bytes **values);
/* Walks all clients, in no order: *cursor begins as {0}; false at the end. Not those that an older release has left. */
typedef struct rfm_view_cursor {
    size_t cell, item;
} rfm_view_cursor;
bool rfm_view_next_client(const rfm_view *view, rfm_view_cursor *cursor, rfm_bytes *id, rfm_bytes *packed);
/* Puts operations that make these keys from nothing: a redo that a task can begin with. */
void rfm_view_dump(const rfm_view *view, rfm_redo *redo);

#endif
