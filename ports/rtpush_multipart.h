// rtpush_multipart.h - v0.1 - rtpush.h: files and fields of a form - MIT-0 or public domain
//
// Reads multipart/form-data (RFC 7578), which forms and "curl -F" send, piece by piece as on_body
// gets it. No allocation, no copy of the data, no recursion; files of any length. 128 bytes a form
// on a 32-bit machine, and the memory for its names; 1.8 KB of flash (Cortex-M3, gcc 12 -Os).
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     #define RTPUSH_MULTIPART_IMPLEMENTATION
//     #include "rtpush_multipart.h"        #include "rtpush_multipart.h"
//
// QUICK START
//     static rtpush_multipart form; // one for each concurrent upload
//     static char words[200];       // a name, a file name, a media type and one line of a part
//
//     static int on_part(void *ctx, int event, const rtpush_part *part, const uint8_t *data,
//                        size_t len) {
//         if (!part->filename) return RTPUSH_OK; // a field of the form, not a file
//         switch (event) {
//         case RTPUSH_PART_BEGIN: return flash_begin();
//         case RTPUSH_PART_DATA: return flash_busy() ? RTPUSH_RETRY : flash_write(data, len);
//         default: return flash_end(); // RTPUSH_PART_END
//         }
//     }
//     static void on_request(rtpush_server *srv, const rtpush_request *req) {
//         (void)rtpush_multipart_init(&form, req->content_type, words, sizeof words, on_part,
//                                     NULL);
//     }
//     static int on_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
//                        size_t len, int last) {
//         int result = rtpush_multipart_read(&form, data, len, last);
//         if (result == RTPUSH_RETRY) return result; // the piece comes again
//         if (result < 0) {
//             rtpush_reply_text(srv, req->conn, rtpush_multipart_status(result), "bad form");
//         } else if (last) {
//             rtpush_reply_text(srv, req->conn, 200, "stored");
//         }
//         return RTPUSH_OK;
//     }
//     static const char *const types[] = {"multipart/form-data", NULL}; // others: 415
//     ... {.path = "/upload", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 1000000,
//          .body_types = types, .on_request = on_request, .on_body = on_body}
//
// WHAT IT READS
//     RFC 2046 5.1.1    boundaries of 1 to 70 characters, quoted or not; preamble and epilogue are
//                       skipped; up to 64 bytes of white space behind a boundary. A line that only
//                       begins with the boundary is malformed. Every line ends with CR LF exactly
//     RFC 7578 4.2      each part has one Content-Disposition: form-data with one name. %22 in
//                       names is '"', as browsers write it, and \" and \\ are read as curl writes
//                       them; other backslashes stay, as do %0D and %0A. filename* is ignored
//     RFC 7578 4.4      Content-Type of a part, as it came. Other fields of a part are skipped
//     Refused: folded lines, control characters in a field, a parameter twice, a line of a field
//     that does not fit the memory, more than 1 KiB of fields in a part, an end before the last
//     boundary. How the body is split into pieces changes the events only in how DATA is split.
//
//     A file name is given without a path: the part after its last '/' or '\', and "" instead of
//     "." and ".." (RFC 7578 4.2: not to be used blindly). All strings are bytes as they came, most
//     often UTF-8, which is not checked.

#ifndef RTPUSH_MULTIPART_H
#define RTPUSH_MULTIPART_H

#ifndef RTPUSH_H
#error "include rtpush.h before rtpush_multipart.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

// What is wrong with a form; rtpush_multipart_status says what to answer.
enum {
    RTPUSH_MULTIPART_TYPE = -101,      // not multipart/form-data with a boundary (415)
    RTPUSH_MULTIPART_MALFORMED = -102, // (400)
    RTPUSH_MULTIPART_TRUNCATED = -103, // the body ended before the last boundary (400)
    RTPUSH_MULTIPART_TOO_LONG = -104   // fields of a part beyond the memory or 1 KiB (413)
};

enum { RTPUSH_PART_BEGIN, RTPUSH_PART_DATA, RTPUSH_PART_END };

// The current part. Its strings are valid until its RTPUSH_PART_END returns.
typedef struct rtpush_part {
    const char *name;
    const char *filename;     // "" if no file was chosen; NULL: a field, not a file
    const char *content_type; // NULL: none given, which means text/plain (RFC 7578 4.4)
} rtpush_part;

// BEGIN and END once for each part, DATA between them with len > 0, as often as it comes. Returns
// RTPUSH_OK, or RTPUSH_RETRY (or ERR_WOULD_BLOCK): the same event comes again; another negative
// number ends the form, and rtpush_multipart_read returns it.
typedef int (*rtpush_on_part)(void *ctx, int event, const rtpush_part *part, const uint8_t *data,
                              size_t len);

// The fields are private; public only so that memory can be static.
typedef struct rtpush_multipart {
    rtpush_on_part on_part;
    void *ctx;
    char *memory;     // strings of the part, then the line being read
    size_t size;
    size_t used;      // bytes of strings
    size_t line;      // bytes of the line
    size_t handled;   // bytes already processed of a piece that comes again
    rtpush_part part;
    int error;        // sticky
    uint16_t head;    // bytes of fields in this part
    uint8_t state;    // RTPI_MP_...
    uint8_t match;    // bytes of the delimiter seen
    uint8_t implied;  // of them, bytes that are no data if the delimiter does not follow (CR LF)
    uint8_t len;      // bytes of the delimiter
    uint8_t over;     // the line does not fit
    char delimiter[4 + 70 + 1]; // CR LF "--" boundary NUL
} rtpush_multipart;

// Begins. content_type is rtpush_request.content_type, and may be NULL. memory outlives the upload;
// its `size` bytes hold the strings of a part and one line of its fields (here: content_type), each
// with a NUL. RTPUSH_OK, or RTPUSH_MULTIPART_TYPE; it need not be checked, since
// rtpush_multipart_read returns it again.
int rtpush_multipart_init(rtpush_multipart *m, const char *content_type, void *memory, size_t size,
                          rtpush_on_part on_part, void *ctx);
// A piece of the body, as on_body gets it. RTPUSH_OK: taken; with `last` the form is complete.
// RTPUSH_RETRY: to be returned from on_body; the piece is offered again. Otherwise a
// permanent error.
int rtpush_multipart_read(rtpush_multipart *m, const uint8_t *data, size_t len, int last);
int rtpush_multipart_status(int error); // 415, 400, 413; 500 for an error of on_part

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_MULTIPART_H

#ifdef RTPUSH_MULTIPART_IMPLEMENTATION
#ifndef RTPUSH_MULTIPART_IMPLEMENTED
#define RTPUSH_MULTIPART_IMPLEMENTED

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// The states. The delimiter is CR LF "--" boundary (RFC 2046 5.1.1); the first one may lack
// its CR LF, and after the fields of a part their last CR LF may be the delimiter's.
//
//   PREAMBLE -delimiter-> AFTER         DATA -delimiter, END-> AFTER
//   AFTER  white space; '-' -> DASH -'-'-> EPILOGUE; CR -> AFTER_LF -LF-> FIELDS
//   FIELDS a line up to CR -> FIELDS_LF -LF-> FIELDS; after an empty line: BEGIN -> DATA
//
// If on_part does not take an event, the state stays as before the byte, and the byte comes again.
enum {
    RTPI_MP_PREAMBLE,
    RTPI_MP_DATA,
    RTPI_MP_AFTER,
    RTPI_MP_DASH,
    RTPI_MP_AFTER_LF,
    RTPI_MP_FIELDS,
    RTPI_MP_FIELDS_LF,
    RTPI_MP_EPILOGUE
};

#define RTPI_MP_FIELDS_MAX 1024u
#define RTPI_MP_SPACE_MAX 64u // RFC 2046 5.1.1: white space behind a boundary

static uint8_t rtpi_mp_lower(char c) {
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static int rtpi_mp_is_blank(char c) {
    return c == ' ' || c == '\t';
}

// If text begins with `lower` in any case, returns the text after it, else NULL.
static char *rtpi_mp_after(char *text, const char *lower) {
    while (*lower != '\0' && rtpi_mp_lower(*text) == (uint8_t)*lower) {
        text++;
        lower++;
    }
    return *lower == '\0' ? text : NULL;
}

static char *rtpi_mp_skip_blank(char *at) {
    while (rtpi_mp_is_blank(*at)) {
        at++;
    }
    return at;
}

// A value at `at`, quoted or not; decoded in place and ended by NUL at *value. Returns the
// text after it, or NULL. `form` turns %22 into '"'.
static char *rtpi_mp_value(char *at, char **value, int form) {
    char *out = at;
    int quoted = *at == '"';
    *value = at;
    at += quoted;
    while (*at != '\0' && *at != '"' && (quoted || (*at != ';' && !rtpi_mp_is_blank(*at)))) {
        if (quoted && *at == '\\' && (at[1] == '"' || at[1] == '\\')) {
            at++;
            *out++ = *at++;
        } else if (form && at[0] == '%' && at[1] == '2' && at[2] == '2') {
            *out++ = '"';
            at += 3;
        } else {
            *out++ = *at++;
        }
    }
    if (quoted ? *at != '"' : out == *value || *at == '"') {
        return NULL; // no end, or empty
    }
    at = rtpi_mp_skip_blank(at + quoted);
    if (*at != '\0' && *at != ';') {
        return NULL;
    }
    at += *at == ';'; // before the NUL: out may be here
    *out = '\0';
    return at;
}

// The index of a name of `len` bytes in `names`, a sequence of NUL-terminated names; their number
// if it is none of them.
static unsigned rtpi_mp_index(const char *names, char *name, size_t len) {
    unsigned i = 0;
    while (*names != '\0' && (strlen(names) != len || !rtpi_mp_after(name, names))) {
        names += strlen(names) + 1;
        i++;
    }
    return i;
}

// Parses the parameters of a field, beginning at ';' or the end. Fills value[] for each of the
// `count` names; others are skipped. Returns 0: malformed, or one of them comes twice.
static int rtpi_mp_params(char *at, const char *names, unsigned count, char **value, int form) {
    at = rtpi_mp_skip_blank(at);
    if (*at == '\0') {
        return 1;
    }
    if (*at++ != ';') {
        return 0;
    }
    while (*(at = rtpi_mp_skip_blank(at)) != '\0') {
        char *name = at;
        char *text;
        size_t len = strcspn(at, "=;\" \t");
        unsigned i = rtpi_mp_index(names, name, len);
        if (len == 0 || at[len] != '=' || (i < count && value[i])) {
            return 0;
        }
        at = rtpi_mp_value(at + len + 1, &text, form);
        if (!at) {
            return 0;
        }
        if (i < count) {
            value[i] = text;
        }
    }
    return 1;
}

// RFC 2046 5.1.1: 1 to 70 of these, and no space at the end.
static int rtpi_mp_boundary_ok(const char *boundary) {
    size_t len = strlen(boundary);
    return len >= 1 && len <= 70 && boundary[len - 1] != ' ' &&
           strspn(boundary, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "'()+_,-./:=? ") == len;
}

int rtpush_multipart_init(rtpush_multipart *m, const char *content_type, void *memory, size_t size,
                          rtpush_on_part on_part, void *ctx) {
    size_t len = content_type ? strlen(content_type) : 0;
    char *boundary = NULL;
    char *params;
    memset(m, 0, sizeof *m);
    m->on_part = on_part;
    m->ctx = ctx;
    m->memory = (char *)memory;
    m->size = size;
    m->error = RTPUSH_MULTIPART_TYPE;
    if (!content_type || len >= size) {
        return m->error;
    }
    memcpy(m->memory, content_type, len + 1);
    params = rtpi_mp_after(m->memory, "multipart/form-data");
    if (!params || !rtpi_mp_params(params, "boundary\0", 1, &boundary, 0) || !boundary ||
        !rtpi_mp_boundary_ok(boundary)) {
        return m->error;
    }
    memcpy(m->delimiter, "\r\n--", 4);
    m->len = (uint8_t)(4 + strlen(boundary));
    memcpy(m->delimiter + 4, boundary, m->len - 3u);
    m->match = m->implied = 2; // the first one is at the begin of a line
    m->error = RTPUSH_OK;
    return RTPUSH_OK;
}

static int rtpi_mp_later(int result) {
    return result == RTPUSH_RETRY || result == RTPUSH_ERR_WOULD_BLOCK;
}

static int rtpi_mp_event(rtpush_multipart *m, int event, const void *data, size_t len) {
    int result = m->on_part(m->ctx, event, &m->part, (const uint8_t *)data, len);
    return rtpi_mp_later(result) ? RTPUSH_RETRY : result < 0 ? result : RTPUSH_OK;
}

// Keeps a string of the line. The strings of a part are stored before the line, which is never
// shorter than the string.
static const char *rtpi_mp_keep(rtpush_multipart *m, const char *text) {
    size_t len = strlen(text) + 1;
    char *kept = m->memory + m->used;
    memmove(kept, text, len);
    m->used += len;
    return kept;
}

// RFC 7578 4.2: without the path, of any system.
static char *rtpi_mp_base_name(char *path) {
    char *at;
    for (at = path; *at != '\0'; at++) {
        if (*at == '/' || *at == '\\') {
            path = at + 1;
        }
    }
    return strcmp(path, ".") == 0 || strcmp(path, "..") == 0 ? at : path;
}

static int rtpi_mp_disposition(rtpush_multipart *m, char *at) {
    char *value[2] = {NULL, NULL};
    at = rtpi_mp_after(rtpi_mp_skip_blank(at), "form-data");
    if (!at || m->part.name || !rtpi_mp_params(at, "name\0filename\0", 2, value, 1) || !value[0]) {
        return RTPUSH_MULTIPART_MALFORMED;
    }
    if (value[1]) {
        value[1] = rtpi_mp_base_name(value[1]);
    }
    // In the order in which they come, since the first is moved over the line.
    if (value[1] && value[1] < value[0]) {
        m->part.filename = rtpi_mp_keep(m, value[1]);
        value[1] = NULL;
    }
    m->part.name = rtpi_mp_keep(m, value[0]);
    if (value[1]) {
        m->part.filename = rtpi_mp_keep(m, value[1]);
    }
    return RTPUSH_OK;
}

// A field of a part is complete, without its CR LF.
static int rtpi_mp_field(rtpush_multipart *m) {
    char *line = m->memory + m->used;
    size_t len = m->line;
    char *value;
    m->line = 0;
    line[len] = '\0';
    value = strchr(line, ':');
    if (!value && !m->over) {
        return RTPUSH_MULTIPART_MALFORMED;
    }
    if (value == line || (value && rtpi_mp_is_blank(value[-1]))) {
        return RTPUSH_MULTIPART_MALFORMED;
    }
    if ((value = rtpi_mp_after(line, "content-disposition:")) != NULL) {
        return m->over ? RTPUSH_MULTIPART_TOO_LONG : rtpi_mp_disposition(m, value);
    }
    if ((value = rtpi_mp_after(line, "content-type:")) != NULL) {
        if (m->over || m->part.content_type) {
            return m->over ? RTPUSH_MULTIPART_TOO_LONG : RTPUSH_MULTIPART_MALFORMED;
        }
        while (rtpi_mp_is_blank(line[len - 1])) { // not beyond the colon
            line[--len] = '\0';
        }
        m->part.content_type = rtpi_mp_keep(m, rtpi_mp_skip_blank(value));
    } else if (m->over && !strchr(line, ':')) {
        return RTPUSH_MULTIPART_TOO_LONG; // cut in its name
    }
    return RTPUSH_OK;
}

static int rtpi_mp_fields_byte(rtpush_multipart *m, char c) {
    if (++m->head > RTPI_MP_FIELDS_MAX) {
        return RTPUSH_MULTIPART_TOO_LONG;
    }
    if (c == '\r') {
        m->state = RTPI_MP_FIELDS_LF;
        return RTPUSH_OK;
    }
    if (((uint8_t)c < 0x20 && c != '\t') || c == 0x7F || (m->line == 0 && rtpi_mp_is_blank(c))) {
        return RTPUSH_MULTIPART_MALFORMED; // also a folded line
    }
    if (m->used + m->line + 1 >= m->size) {
        m->over = 1;
    } else {
        m->memory[m->used + m->line++] = c;
    }
    return RTPUSH_OK;
}

static int rtpi_mp_fields_end(rtpush_multipart *m, char c) {
    int result;
    if (c != '\n') {
        return RTPUSH_MULTIPART_MALFORMED;
    }
    if (m->line > 0) { // also if it is over: lines are longer than what is kept of them
        result = rtpi_mp_field(m);
        m->over = 0;
        m->state = RTPI_MP_FIELDS;
        return result;
    }
    if (!m->part.name) {
        return RTPUSH_MULTIPART_MALFORMED; // RFC 7578 4.2: each part must have one
    }
    result = rtpi_mp_event(m, RTPUSH_PART_BEGIN, NULL, 0);
    if (result == RTPUSH_OK) {
        m->state = RTPI_MP_DATA;
        m->match = m->implied = 2;
    }
    return result;
}

static int rtpi_mp_must(int condition) {
    return condition ? 0 : RTPUSH_MULTIPART_MALFORMED;
}

static int rtpi_mp_after_byte(rtpush_multipart *m, char c) {
    switch (m->state) {
    case RTPI_MP_AFTER:
        if (rtpi_mp_is_blank(c)) {
            return rtpi_mp_must(++m->head <= RTPI_MP_SPACE_MAX);
        }
        m->state = c == '\r' ? RTPI_MP_AFTER_LF : RTPI_MP_DASH;
        return rtpi_mp_must(c == '\r' || (c == '-' && m->head == 0));
    case RTPI_MP_DASH:
        m->state = RTPI_MP_EPILOGUE;
        return rtpi_mp_must(c == '-');
    default: // AFTER_LF: the next part
        memset(&m->part, 0, sizeof m->part);
        m->used = m->line = 0;
        m->head = 0;
        m->state = RTPI_MP_FIELDS;
        return rtpi_mp_must(c == '\n');
    }
}

// Data, or what may be a delimiter. Sets *n to how many bytes were taken.
static int rtpi_mp_data(rtpush_multipart *m, const uint8_t *data, size_t len, size_t *n) {
    int result = RTPUSH_OK;
    int events = m->state == RTPI_MP_DATA;
    const uint8_t *cr;
    *n = 0;
    if (m->match > 0 && *data == (uint8_t)m->delimiter[m->match]) {
        if (m->match + 1u == m->len) {
            result = events ? rtpi_mp_event(m, RTPUSH_PART_END, NULL, 0) : RTPUSH_OK;
            if (result != RTPUSH_OK) {
                return result;
            }
            m->state = RTPI_MP_AFTER;
            m->match = 0;
            m->head = 0;
        } else {
            m->match++;
        }
        *n = 1;
        return RTPUSH_OK;
    }
    // Not the delimiter: the bytes that matched are data. A boundary has no CR, so none of them can
    // begin another delimiter.
    if (m->match > m->implied && events) {
        result = rtpi_mp_event(m, RTPUSH_PART_DATA, m->delimiter + m->implied,
                               (size_t)m->match - m->implied);
        if (result != RTPUSH_OK) {
            return result;
        }
    }
    m->match = m->implied = 0;
    if (*data == '\r') {
        m->match = 1;
        *n = 1;
        return RTPUSH_OK;
    }
    cr = (const uint8_t *)memchr(data, '\r', len);
    len = cr ? (size_t)(cr - data) : len;
    result = events ? rtpi_mp_event(m, RTPUSH_PART_DATA, data, len) : RTPUSH_OK;
    *n = result == RTPUSH_OK ? len : 0;
    return result;
}

// One step. Sets *n to how many bytes were taken.
static int rtpi_mp_step(rtpush_multipart *m, const uint8_t *data, size_t len, size_t *n) {
    int result;
    switch (m->state) {
    case RTPI_MP_PREAMBLE:
    case RTPI_MP_DATA:
        return rtpi_mp_data(m, data, len, n);
    case RTPI_MP_EPILOGUE:
        *n = len;
        return RTPUSH_OK;
    case RTPI_MP_FIELDS:
        result = rtpi_mp_fields_byte(m, (char)*data);
        break;
    case RTPI_MP_FIELDS_LF:
        result = rtpi_mp_fields_end(m, (char)*data);
        break;
    default:
        result = rtpi_mp_after_byte(m, (char)*data);
        break;
    }
    *n = result == RTPUSH_OK;
    return result;
}

int rtpush_multipart_read(rtpush_multipart *m, const uint8_t *data, size_t len, int last) {
    size_t at = m->handled; // of a piece that comes again; then it may be shorter
    m->handled = 0;
    if (at > len) {
        m->handled = at - len;
        at = len;
    }
    while (m->error == RTPUSH_OK && at < len) {
        size_t n;
        int result = rtpi_mp_step(m, data + at, len - at, &n);
        if (result == RTPUSH_RETRY) {
            m->handled = at;
            return RTPUSH_RETRY;
        }
        m->error = result;
        at += n;
    }
    if (m->error == RTPUSH_OK && last && m->state != RTPI_MP_EPILOGUE) {
        m->error = RTPUSH_MULTIPART_TRUNCATED;
    }
    return m->error;
}

int rtpush_multipart_status(int error) {
    switch (error) {
    case RTPUSH_MULTIPART_TYPE:
        return 415;
    case RTPUSH_MULTIPART_MALFORMED:
    case RTPUSH_MULTIPART_TRUNCATED:
        return 400;
    case RTPUSH_MULTIPART_TOO_LONG:
        return 413;
    default:
        return 500;
    }
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_MULTIPART_IMPLEMENTED
#endif // RTPUSH_MULTIPART_IMPLEMENTATION

// MIT-0 or public domain (Unlicense), your choice: the text is at the end of rtpush.h.
