#include <rfm/event/event.h>

const char *rfm_event_type_name(rfm_event_type type)
{
    static const char *const names[] = {
#define X(NAME, name) #name,
        RFM_EVENT_TYPES(X)
#undef X
    };
    return (unsigned)type < RFM_EVENT_TYPE_COUNT ? names[type] : "unknown";
}

const char *rfm_message_status_name(rfm_message_status status)
{
    static const char *const names[] = {
#define X(NAME, name) #name,
        RFM_MESSAGE_STATUSES(X)
#undef X
    };
    return (unsigned)status < RFM_STATUS_COUNT ? names[status] : "unknown";
}

const char *rfm_class_name(rfm_class class_)
{
    static const char *const names[] = {"marketing", "transactional"};
    return (unsigned)class_ < RFM_CLASS_COUNT ? names[class_] : "unknown";
}

const char *rfm_feedback_kind_name(rfm_feedback_kind kind)
{
    static const char *const names[] = {
#define X(NAME, name) #name,
        RFM_FEEDBACK_KINDS(X)
#undef X
    };
    return (unsigned)kind < RFM_FEEDBACK_COUNT ? names[kind] : "unknown";
}
