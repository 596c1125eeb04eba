#include <rfm/engine/view.h>

#include <rfm/base/grow.h>
#include <rfm/base/hash.h>
#include <rfm/base/table.h>
#include <rfm/engine/keys.h>
#include <stdlib.h>

/* A list's items, a hash's field, value, field, value; a string is one item. */
enum kind { STRING, LIST, HASH };
struct cell {
    rfm_bytes key;
    enum kind kind;
    rfm_bytes *items;
    size_t count, first, size; /* lists are trimmed by moving `first` */
    bool live;
};

struct rfm_view {
    rfm_table table;
    struct cell *cells;
    size_t count, size;
    uint32_t *unused; /* dead cells, to be used again */
    size_t unused_count, unused_size;
    rfm_bytes wal;
};

static void *must(void *memory)
{
    RFM_NEED(memory != NULL);
    return memory;
}

static rfm_bytes copy_of(rfm_bytes bytes)
{
    uint8_t *at = must(malloc(bytes.len + 1));
    if (bytes.len > 0)
        memcpy(at, bytes.at, bytes.len);
    return rfm_bytes_of(at, bytes.len);
}

static void drop(rfm_bytes bytes)
{
    free((void *)(uintptr_t)bytes.at);
}

rfm_view *rfm_view_new(void)
{
    rfm_view *view = must(calloc(1, sizeof *view));
    rfm_table_init(&view->table, 64);
    return view;
}

static void clear_cell(struct cell *cell)
{
    for (size_t i = cell->first; i < cell->count; i++)
        drop(cell->items[i]);
    free(cell->items);
    drop(cell->key);
    *cell = (struct cell){0};
}

void rfm_view_free(rfm_view *view)
{
    if (view == NULL)
        return;
    for (size_t i = 0; i < view->count; i++)
        if (view->cells[i].live)
            clear_cell(&view->cells[i]);
    rfm_table_release(&view->table);
    free(view->cells);
    free(view->unused);
    drop(view->wal);
    free(view);
}

static struct cell *find(const rfm_view *view, rfm_bytes key)
{
    size_t cursor = RFM_TABLE_START;
    uint64_t hash = rfm_hash64(key);
    for (uint32_t i; (i = rfm_table_find(&view->table, hash, &cursor)) != RFM_TABLE_NONE;)
        if (rfm_bytes_equal(view->cells[i].key, key))
            return &view->cells[i];
    return NULL;
}

static uint32_t unused_cell(rfm_view *view)
{
    if (view->unused_count > 0)
        return view->unused[--view->unused_count];
    view->cells = rfm_grow(view->cells, view->count, &view->size);
    return (uint32_t)view->count++;
}

static struct cell *find_or_add(rfm_view *view, rfm_bytes key, enum kind kind)
{
    struct cell *found = find(view, key);
    if (found != NULL)
        return found;
    uint32_t index = unused_cell(view);
    view->cells[index] = (struct cell){.key = copy_of(key), .kind = kind, .live = true};
    rfm_table_add(&view->table, rfm_hash64(key), index);
    return &view->cells[index];
}

static void remove_cell(rfm_view *view, struct cell *cell)
{
    uint32_t index = (uint32_t)(cell - view->cells);
    rfm_table_remove(&view->table, rfm_hash64(cell->key), index);
    clear_cell(cell);
    view->unused = rfm_grow(view->unused, view->unused_count, &view->unused_size);
    view->unused[view->unused_count++] = index;
}

static void add_item(struct cell *cell, rfm_bytes value)
{
    cell->items = rfm_grow(cell->items, cell->count, &cell->size);
    cell->items[cell->count++] = copy_of(value);
}

static void set_string(struct cell *cell, rfm_bytes value)
{
    if (cell->count == 0) {
        add_item(cell, value);
        return;
    }
    drop(cell->items[0]);
    cell->items[0] = copy_of(value);
}

/* A hash's fields are kept sorted: the place of a field, or where it would stand. */
static size_t hash_place(const struct cell *cell, rfm_bytes field, bool *found)
{
    size_t low = 0, high = cell->count / 2;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = rfm_bytes_compare(cell->items[2 * middle], field);
        if (order == 0)
            *found = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 2 * low;
}

static void hash_set(struct cell *cell, rfm_bytes field, rfm_bytes value)
{
    bool found;
    size_t at = hash_place(cell, field, &found);
    if (found) {
        drop(cell->items[at + 1]);
        cell->items[at + 1] = copy_of(value);
        return;
    }
    add_item(cell, field);
    add_item(cell, value);
    rfm_bytes pair[2] = {cell->items[cell->count - 2], cell->items[cell->count - 1]};
    memmove(cell->items + at + 2, cell->items + at, (cell->count - 2 - at) * sizeof *cell->items);
    memcpy(cell->items + at, pair, sizeof pair);
}

static void hash_delete(rfm_view *view, struct cell *cell, rfm_bytes field)
{
    bool found = false;
    size_t at = cell == NULL ? 0 : hash_place(cell, field, &found);
    if (!found)
        return;
    drop(cell->items[at]);
    drop(cell->items[at + 1]);
    cell->count -= 2;
    memmove(cell->items + at, cell->items + at + 2, (cell->count - at) * sizeof *cell->items);
    if (cell->count == 0)
        remove_cell(view, cell);
}

static void list_trim(rfm_view *view, struct cell *cell, rfm_bytes value)
{
    int64_t n;
    if (cell == NULL || rfm_integer_parse(value, &n) != RFM_OK)
        return;
    for (; n > 0 && cell->first < cell->count; n--)
        drop(cell->items[cell->first++]);
    if (cell->first == cell->count)
        remove_cell(view, cell);
}

static void list_remove(rfm_view *view, struct cell *cell, rfm_bytes value)
{
    if (cell == NULL)
        return;
    size_t kept = cell->first;
    for (size_t i = cell->first; i < cell->count; i++) {
        if (rfm_bytes_equal(cell->items[i], value))
            drop(cell->items[i]);
        else
            cell->items[kept++] = cell->items[i];
    }
    cell->count = kept;
    if (cell->first == cell->count)
        remove_cell(view, cell);
}

/* SET replaces whatever there is. */
static void set(rfm_view *view, const rfm_redo_item *item)
{
    struct cell *cell = find_or_add(view, item->key, STRING);
    if (cell->kind != STRING) {
        remove_cell(view, cell);
        cell = find_or_add(view, item->key, STRING);
    }
    set_string(cell, item->value);
}

static void apply_to_list(rfm_view *view, struct cell *cell, const rfm_redo_item *item)
{
    if (item->op == RFM_REDO_LIST_TRIM)
        list_trim(view, cell, item->value);
    else if (item->op == RFM_REDO_LIST_REMOVE)
        list_remove(view, cell, item->value);
    else
        add_item(cell, item->value);
}

static void apply_to_hash(rfm_view *view, struct cell *cell, const rfm_redo_item *item)
{
    if (item->op == RFM_REDO_HASH_DELETE)
        hash_delete(view, cell, item->field);
    else
        hash_set(cell, item->field, item->value);
}

/* RFM_E_CORRUPT: the key holds another kind, for which Redis too would refuse it. */
static int apply(rfm_view *view, const rfm_redo_item *item)
{
    bool removes = item->op == RFM_REDO_LIST_TRIM || item->op == RFM_REDO_LIST_REMOVE;
    enum kind kind = item->op == RFM_REDO_LIST_ADD || removes ? LIST : HASH;
    bool takes_away = removes || item->op == RFM_REDO_HASH_DELETE || item->op == RFM_REDO_DELETE;
    if (item->op == RFM_REDO_SET)
        return set(view, item), RFM_OK;
    struct cell *cell = takes_away ? find(view, item->key) : find_or_add(view, item->key, kind);
    if (cell == NULL)
        return RFM_OK;
    if (item->op == RFM_REDO_DELETE)
        return remove_cell(view, cell), RFM_OK;
    if (cell->kind != kind)
        return RFM_E_CORRUPT;
    if (kind == LIST)
        apply_to_list(view, cell, item);
    else
        apply_to_hash(view, cell, item);
    return RFM_OK;
}

int rfm_view_apply(rfm_view *view, rfm_bytes part)
{
    rfm_redo_header header;
    rfm_bytes rest;
    rfm_redo_item item;
    int code = rfm_redo_open(part, &header, &rest);
    if (code != RFM_OK)
        return code;
    while (code == RFM_OK && rfm_redo_next(&rest, &item))
        code = apply(view, &item);
    return rest.len == 0 ? code : RFM_E_CORRUPT;
}

void rfm_view_set_wal(rfm_view *view, rfm_bytes value)
{
    rfm_bytes old = view->wal;
    view->wal = copy_of(value);
    drop(old);
}

rfm_bytes rfm_view_wal(const rfm_view *view)
{
    return view->wal;
}

rfm_bytes rfm_view_get(const rfm_view *view, rfm_bytes key)
{
    const struct cell *cell = find(view, key);
    return cell == NULL || cell->count == 0 ? RFM_BYTES_NONE : cell->items[0];
}

static rfm_bytes value_of(const rfm_view *view, rfm_bytes key, rfm_bytes field)
{
    if (field.at == NULL)
        return rfm_view_get(view, key);
    const struct cell *cell = find(view, key);
    bool found = false;
    size_t at = cell == NULL || cell->kind != HASH ? 0 : hash_place(cell, field, &found);
    return found ? cell->items[at + 1] : RFM_BYTES_NONE;
}

rfm_bytes rfm_view_client(const rfm_view *view, rfm_bytes id)
{
    char bundle[RFM_BUNDLE_KEY_MAX];
    return value_of(view, rfm_bundle_key(rfm_bundle_of(rfm_hash64(id)), bundle), id);
}

rfm_view *rfm_view_copy(const rfm_view *view)
{
    rfm_view *copy = rfm_view_new();
    for (size_t i = 0; i < view->count; i++) {
        if (!view->cells[i].live)
            continue;
        struct cell *to = find_or_add(copy, view->cells[i].key, view->cells[i].kind);
        for (size_t k = view->cells[i].first; k < view->cells[i].count; k++)
            add_item(to, view->cells[i].items[k]);
    }
    if (view->wal.at != NULL)
        copy->wal = copy_of(view->wal);
    return copy;
}

static size_t load_values(const rfm_view *view, const rfm_effect *load, rfm_bytes *values)
{
    const rfm_bytes *fields = load->load.fields;
    for (size_t i = 0; i < load->load.count; i++)
        values[i] = value_of(view, load->load.keys[i], fields ? fields[i] : RFM_BYTES_NONE);
    return load->load.count;
}

size_t rfm_view_load(const rfm_view *view, const rfm_effect *load, rfm_arena *arena, const rfm_bytes **values)
{
    if (load->load.what == RFM_LOAD_VALUES) {
        rfm_bytes *out = rfm_arena_take(arena, (load->load.count + 1) * sizeof *out);
        *values = out;
        return load_values(view, load, out);
    }
    const struct cell *cell = find(view, load->load.keys[0]);
    if (cell == NULL)
        return *values = NULL, 0;
    bool list = load->load.what == RFM_LOAD_LIST;
    size_t from = cell->first + (list ? (size_t)load->load.from : 0);
    size_t left = from < cell->count ? cell->count - from : 0;
    *values = cell->items + from;
    return list && left > (size_t)load->load.length ? (size_t)load->load.length : left;
}

bool rfm_view_next_client(const rfm_view *view, rfm_view_cursor *cursor, rfm_bytes *id, rfm_bytes *packed)
{
    enum { START = sizeof RFM_KEY_BUNDLE - 1 };
    for (; cursor->cell < view->count; cursor->cell++, cursor->item = 0) {
        const struct cell *cell = &view->cells[cursor->cell];
        bool bundle = cell->live && cell->kind == HASH && cell->key.len > START &&
                      memcmp(cell->key.at, RFM_KEY_BUNDLE, START) == 0;
        if (!bundle || cursor->item >= cell->count)
            continue;
        *id = cell->items[cursor->item++];
        *packed = cell->items[cursor->item++];
        return true;
    }
    return false;
}

static void dump_cell(const struct cell *cell, rfm_redo *redo)
{
    static const rfm_redo_op ops[] = {[STRING] = RFM_REDO_SET, [LIST] = RFM_REDO_LIST_ADD, [HASH] = RFM_REDO_HASH_SET};
    for (size_t i = cell->first; i < cell->count; i += cell->kind == HASH ? 2 : 1) {
        rfm_redo_item item = {.op = ops[cell->kind], .key = cell->key, .value = cell->items[i]};
        if (cell->kind == HASH)
            item.field = cell->items[i], item.value = cell->items[i + 1];
        rfm_redo_put(redo, &item);
    }
}

void rfm_view_dump(const rfm_view *view, rfm_redo *redo)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->cells[i].live)
            dump_cell(&view->cells[i], redo);
}
