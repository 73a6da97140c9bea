// ports/rtpush_multipart.h: forms of browsers and curl, what is malformed, and that no cut of the
// body and no event that waits changes what the application sees.
#include "unit.h"

#define RTPUSH_MULTIPART_IMPLEMENTATION
#include "../../ports/rtpush_multipart.h"

#define TYPE "multipart/form-data; boundary=XyZ"

// -- what was seen: "begin name filename type", the data, "end" -----------------------------------

typedef struct sink {
    t_buf log;
    uint32_t later; // one event in so many waits, 0 none
    t_rng rng;
    int open;   // between BEGIN and END
    int fail;   // return this at END
    int events; // tried
    int waits;  // of them, that come again
    int early;  // `fail` is returned already at 1: DATA, 2: BEGIN
} sink;

static int on_part(void *ctx, int event, const rtpush_part *part, const uint8_t *data, size_t len) {
    sink *s = (sink *)ctx;
    T_CHECK(part->name != NULL, "a part without a name");
    T_CHECK(++s->events < 1000000, "an event again and again");
    if (s->early && event == RTPUSH_PART_END - s->early) {
        return s->fail;
    }
    if (s->later && t_below(&s->rng, s->later) == 0) {
        s->waits++;
        return t_below(&s->rng, 2) ? RTPUSH_RETRY : RTPUSH_ERR_WOULD_BLOCK;
    }
    if (event == RTPUSH_PART_BEGIN) {
        T_CHECK(!s->open && len == 0, "BEGIN inside a part");
        s->open = 1;
        t_puts(&s->log, "[");
        t_puts(&s->log, part->name);
        t_puts(&s->log, "|");
        t_puts(&s->log, part->filename ? part->filename : "-");
        t_puts(&s->log, "|");
        t_puts(&s->log, part->content_type ? part->content_type : "-");
        t_puts(&s->log, "]");
    } else if (event == RTPUSH_PART_DATA) {
        T_CHECK(s->open && len > 0, "DATA outside of a part, or empty");
        t_put(&s->log, data, len);
    } else {
        T_CHECK(event == RTPUSH_PART_END && s->open && len == 0, "END outside of a part");
        s->open = 0;
        t_puts(&s->log, "[end]");
        return s->fail;
    }
    return RTPUSH_OK;
}

// Reads a body in pieces: cut at `cut` (0: not), or in pieces of at most `most` bytes (0: whole).
// Each piece stands in memory of its own size, so that a byte too far is found.
static int read_form(const char *type, const uint8_t *body, size_t len, size_t cut, size_t most,
                     size_t memory_size, sink *s) {
    rtpush_multipart m;
    char *memory = (char *)malloc(memory_size);
    size_t at = 0;
    const int begun = rtpush_multipart_init(&m, type, memory, memory_size, on_part, s);
    int waits = 0;
    int result;
    do {
        size_t n = cut > at ? cut - at : len - at;
        if (most) {
            n = 1 + t_below(&s->rng, (uint32_t)most);
            n = n < len - at ? n : len - at;
        }
        uint8_t *piece = (uint8_t *)malloc(n + 1);
        size_t offered = n;
        for (int tries = 0;; tries++) {
            T_CHECK(tries < 100000, "LATER without end");
            memcpy(piece + n - offered, body + at, offered); // its end stands at the end of memory
            result = rtpush_multipart_read(&m, piece + n - offered, offered,
                                           at + offered == len);
            waits += result == RTPUSH_RETRY;
            if (result == RTPUSH_RETRY && t_below(&s->rng, 3) == 0 && offered > 1) {
                offered = 1 + t_below(&s->rng, (uint32_t)offered); // the rate lets less pass now
            } else if (result != RTPUSH_RETRY) {
                break;
            }
        }
        free(piece);
        at += offered;
    } while (at < len && result == RTPUSH_OK);
    if (result < 0) {
        T_EQ(rtpush_multipart_read(&m, body, len, 1), result); // for good
    }
    T_EQ(begun, result == RTPUSH_MULTIPART_TYPE ? result : RTPUSH_OK);
    T_EQ(waits, s->waits); // each goes back to on_body
    free(memory);
    return result;
}

static void expect_at(int line, const char *type, const uint8_t *body, size_t len, int result,
                      const char *log) {
    for (size_t cut = 0; cut <= len; cut++) {
        sink s = {{0}, 0, t_seed(1), 0, 0, 0, 0, 0};
        t_put(&s.log, "", 0);
        int is = read_form(type, body, len, cut, cut == len ? 1 : 0, 200, &s);
        if (is != result || (log && strcmp(t_text(&s.log), log) != 0)) {
            fprintf(stderr, "line %d cut at %lu: %d %s\n", line, (unsigned long)cut, is,
                    t_text(&s.log));
            T_FAIL("another result");
        }
        t_buf_free(&s.log);
    }
}
#define expect(type, body, result, log) \
    expect_at(__LINE__, type, (const uint8_t *)(body), sizeof(body) - 1, result, log)

#define PART(fields, data) "\r\n--XyZ\r\n" fields "\r\n\r\n" data
#define ONE(fields, data) "--XyZ\r\n" fields "\r\n\r\n" data "\r\n--XyZ--\r\n"
#define NAME(name) "Content-Disposition: form-data; name=" name

// RFC 7578 4: a field, a file, an empty one, as browsers and curl write them.
static void multipart_reads_forms_of_browsers_and_curl(U_STATE) {
    expect(TYPE, ONE(NAME("\"a\""), "one"), 0, "[a|-|-]one[end]");
    expect(TYPE, "--XyZ--\r\n", 0, "");
    expect(TYPE, "--XyZ--", 0, "");
    expect(TYPE, ONE(NAME("\"a\""), ""), 0, "[a|-|-][end]");
    expect(TYPE,
           "--XyZ\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello"
           PART("Content-Disposition: form-data; name=\"fw\"; filename=\"fw 1.bin\"\r\n"
                "Content-Type: application/octet-stream", "\1\2\r\n3")
           PART(NAME("\"none\"; filename=\"\"") "\r\nContent-Type: application/octet-stream", "")
           "\r\n--XyZ--\r\n",
           0, "[note|-|-]hello[end][fw|fw 1.bin|application/octet-stream]\1\2\r\n3[end]"
           "[none||application/octet-stream][end]");
    // RFC 2046 5.1.1: preamble and epilogue, white space behind a boundary.
    expect(TYPE, "This is\r\n-- no --XyZ part\r\n--XyZ \t\r\n" NAME("x") "\r\n\r\n1\r\n--XyZ--bye"
           "\r\n--XyZ\r\nX: y\r\n\r\n", 0, "[x|-|-]1[end]");
    // The CR LF behind the fields may be the delimiter's.
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\n--XyZ--", 0, "[x|-|-][end]");
    // Fields in any order and case; others are skipped.
    expect(TYPE, ONE("content-TYPE:  text/plain; charset=utf-8 \t\r\nX-Other: a: b\r\n"
                     "CONTENT-disposition:form-data;name=x", "1"),
           0, "[x|-|text/plain; charset=utf-8]1[end]");
    expect(TYPE, ONE(NAME("x") "\r\nContent-Transfer-Encoding: binary", "1"), 0, "[x|-|-]1[end]");
}

// RFC 7578 4.2: names. %22 of browsers, \" of curl; no path in a file name.
static void multipart_decodes_names(U_STATE) {
    expect(TYPE, ONE(NAME("\"a%22b%22\"; filename=\"c%22%0D%0A%41\""), ""), 0,
           "[a\"b\"|c\"%0D%0A%41|-][end]");
    expect(TYPE, ONE(NAME("\"a\\\"b\\\\c\\d;e=f\"; x=\"y;z\""), ""), 0,
           "[a\"b\\c\\d;e=f|-|-][end]");
    expect(TYPE, ONE("Content-Disposition: form-data; filename=\"f\"; name=\"n\"", ""), 0,
           "[n|f|-][end]");
    expect(TYPE, ONE(NAME("\"%2%20%2\"; filename=\"%23\""), ""), 0, "[%2%20%2|%23|-][end]");
    expect(TYPE, ONE(NAME("\"\xC3\xA9\xFF\"; filename*=UTF-8''evil; filename=\"\xE2\x82\xAC\""),
                     ""), 0,
           "[\xC3\xA9\xFF|\xE2\x82\xAC|-][end]");
    expect(TYPE, ONE(NAME("a; filename=\"../../etc/passwd\""), ""), 0, "[a|passwd|-][end]");
    expect(TYPE, ONE(NAME("a; filename=\"C:\\tmp\\fw.bin\""), ""), 0, "[a|fw.bin|-][end]");
    expect(TYPE, ONE(NAME("a; filename=\"x/\""), ""), 0, "[a||-][end]");
    expect(TYPE, ONE(NAME("a; filename=\"..\""), ""), 0, "[a||-][end]");
    expect(TYPE, ONE(NAME("a; filename=\"./.\""), ""), 0, "[a||-][end]");
    expect(TYPE, ONE(NAME("a; filename=\"..a\""), ""), 0, "[a|..a|-][end]");
    expect(TYPE, ONE(NAME("\"\""), ""), 0, "[|-|-][end]");
    expect(TYPE, ONE(NAME("a ;filename=b;"), ""), 0, "[a|b|-][end]");
}

// What looks like a delimiter, and is data.
static void multipart_keeps_data_that_begins_like_a_boundary(U_STATE) {
    expect(TYPE, ONE(NAME("a"), "\r\n--Xy\r\n--XY\r\r\n\r\n-\r\n--"), 0,
           "[a|-|-]\r\n--Xy\r\n--XY\r\r\n\r\n-\r\n--[end]");
    expect(TYPE, ONE(NAME("a"), "--XyY"), 0, "[a|-|-]--XyY[end]");
    expect(TYPE, ONE(NAME("a"), "-"), 0, "[a|-|-]-[end]");
    expect(TYPE, ONE(NAME("a"), "\n--XyZ"), 0, "[a|-|-]\n--XyZ[end]");
    expect(TYPE, ONE(NAME("a"), "x--XyZ--"), 0, "[a|-|-]x--XyZ--[end]");
    expect(TYPE, ONE(NAME("a"), "\r\r\n\r\r"), 0, "[a|-|-]\r\r\n\r\r[end]");
    expect("multipart/form-data; boundary=\"--\"",
           "----\r\n" NAME("a") "\r\n\r\n\r\n---\r\n--x\r\n------", 0,
           "[a|-|-]\r\n---\r\n--x[end]");
}

static void multipart_reads_boundaries(U_STATE) {
    static const struct {
        const char *type;
        const char *boundary; // NULL: refused
    } cases[] = {
        {"multipart/form-data; boundary=a", "a"},
        {"Multipart/Form-Data;BOUNDARY=\"a b\"; charset=utf-8", "a b"},
        {"multipart/form-data ; charset=\"x\"; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
         "----WebKitFormBoundary7MA4YWxkTrZu0gW"},
        {"multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567"
         "890123456789", "0123456789012345678901234567890123456789012345678901234567890123456789"},
        {"multipart/form-data; boundary='()+_,-./:=?", "'()+_,-./:=?"},
        {"multipart/form-data; boundary=\"a%22\"", NULL},
        {"multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678"
         "901234567890", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=\"a \"", NULL},
        {"multipart/form-data; boundary=\"a", NULL},
        {"multipart/form-data; boundary=a\"", NULL},
        {"multipart/form-data; boundary=a\xC3\xA9", NULL},
        {"multipart/form-data; boundary=a<", NULL},
        {"multipart/form-data; boundary=a; boundary=a", NULL},
        {"multipart/form-data; boundary=a b", NULL},
        {"multipart/form-data; boundary =a", NULL},
        {"multipart/form-data; boundary", NULL},
        {"multipart/form-data, boundary=a", NULL},
        {"multipart/form-data", NULL},
        {"multipart/form-datax; boundary=a", NULL},
        {"multipart/mixed; boundary=a", NULL},
        {"application/octet-stream", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[600];
        sink s = {{0}, 0, t_seed(1), 0, 0, 0, 0, 0};
        snprintf(body, sizeof body, "--%s\r\n" NAME("n") "\r\n\r\nv\r\n--%s--",
                 cases[i].boundary ? cases[i].boundary : "a",
                 cases[i].boundary ? cases[i].boundary : "a");
        t_put(&s.log, "", 0);
        int is = read_form(cases[i].type, (const uint8_t *)body, strlen(body), 0, 0, 200, &s);
        T_CHECK(is == (cases[i].boundary ? RTPUSH_OK : RTPUSH_MULTIPART_TYPE), "%s gives %d",
                cases[i].type ? cases[i].type : "none", is);
        assert_string_equal(t_text(&s.log), cases[i].boundary ? "[n|-|-]v[end]" : "");
        t_buf_free(&s.log);
    }
    T_EQ(rtpush_multipart_status(RTPUSH_MULTIPART_TYPE), 415);
    T_EQ(rtpush_multipart_status(RTPUSH_MULTIPART_MALFORMED), 400);
    T_EQ(rtpush_multipart_status(RTPUSH_MULTIPART_TRUNCATED), 400);
    T_EQ(rtpush_multipart_status(RTPUSH_MULTIPART_TOO_LONG), 413);
    T_EQ(rtpush_multipart_status(-1), 500);
}

#define BAD RTPUSH_MULTIPART_MALFORMED
#define CUT RTPUSH_MULTIPART_TRUNCATED
#define LONG RTPUSH_MULTIPART_TOO_LONG

static void multipart_refuses_what_is_malformed(U_STATE) {
    expect(TYPE, ONE("Content-Type: a/b", ""), BAD, "");          // RFC 7578 4.2: a name in each
    expect(TYPE, ONE("Content-Disposition: form-data", ""), BAD, "");
    expect(TYPE, ONE("Content-Disposition: attachment; name=x", ""), BAD, "");
    expect(TYPE, ONE("Content-Disposition: form-datax; name=x", ""), BAD, "");
    expect(TYPE, ONE(NAME("x; name=y"), ""), BAD, "");
    expect(TYPE, ONE(NAME("x; filename=a; filename=b"), ""), BAD, "");
    expect(TYPE, ONE(NAME("x") "\r\n" NAME("y"), ""), BAD, "");
    expect(TYPE, ONE(NAME("x") "\r\nContent-Type: a/b\r\nContent-Type: a/b", ""), BAD, "");
    expect(TYPE, ONE(NAME("\"x"), ""), BAD, "");
    expect(TYPE, ONE(NAME("\"x\\\""), ""), BAD, "");
    expect(TYPE, ONE(NAME("x\"y\""), ""), BAD, "");
    expect(TYPE, ONE(NAME("\"x\"y"), ""), BAD, "");
    expect(TYPE, ONE(NAME(""), ""), BAD, "");
    expect(TYPE, ONE(NAME("x; filename"), ""), BAD, "");
    expect(TYPE, ONE("Content-Disposition : form-data; name=x", ""), BAD, "");
    expect(TYPE, ONE(NAME("x") "\r\nNothing", ""), BAD, "");
    expect(TYPE, ONE(NAME("x") "\r\n: y", ""), BAD, "");
    expect(TYPE, ONE(NAME("x") "\r\n:", ""), BAD, "");
    expect(TYPE, ONE(NAME("x") "\r\ny", ""), BAD, "");
    expect(TYPE, ONE("Content-Disposition: form-data;\r\n name=x", ""), BAD, ""); // folded
    expect(TYPE, ONE(" " NAME("x"), ""), BAD, "");
    expect(TYPE, ONE(NAME("\"a\nb\""), ""), BAD, "");
    expect(TYPE, ONE(NAME("\"a\rb\""), ""), BAD, "");
    expect(TYPE, ONE(NAME("\"a\0b\""), ""), BAD, "");
    expect(TYPE, ONE(NAME("\"a\x7F\""), ""), BAD, "");
    expect(TYPE, ONE(NAME("x") "\r\nX: \1", ""), BAD, "");
    expect(TYPE, "--XyZ\n" NAME("x") "\n\n1\n--XyZ--\n", BAD, "");
    expect(TYPE, "--XyZ\r" NAME("x") "\r\n\r\n1\r\n--XyZ--", BAD, "");
    expect(TYPE, "--XyZ\rX" NAME("x") "\r\n\r\n1\r\n--XyZ--", BAD, ""); // CR alone
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r1", BAD, "");
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\n1\r\n--XyZa\r\n", BAD, "[x|-|-]1[end]");
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\n1\r\n--XyZ-\r\n", BAD, "[x|-|-]1[end]");
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\n1\r\n--XyZ --\r\n", BAD, "[x|-|-]1[end]");
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\n1\r\n--XyZ a\r\n", BAD, "[x|-|-]1[end]");
    // RFC 2046 5.1.1: without the last boundary it is not whole.
    expect(TYPE, "", CUT, "");
    expect(TYPE, "nothing", CUT, "");
    expect(TYPE, "--XyZ", CUT, "");
    expect(TYPE, "--XyZ\r\n" NAME("x"), CUT, "");
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\nabc", CUT, "[x|-|-]abc");
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\nabc\r\n--XyZ", CUT, "[x|-|-]abc[end]");
    expect(TYPE, "--XyZ\r\n" NAME("x") "\r\n\r\nabc\r\n--XyZ-", CUT, "[x|-|-]abc[end]");
}

#define X10(x) x x x x x x x x x x
#define X100(x) X10(X10(x))

// A limit to what a part may say of itself.
static void multipart_bounds_the_fields(U_STATE) {
    expect(TYPE, ONE(NAME("\"" X100("a") "\""), ""), 0, NULL);
    expect(TYPE, ONE(NAME("\"" X100("aa") "\""), ""), LONG, "");
    expect(TYPE, ONE(NAME("x") "\r\nX-Long: " X100("abcdef"), "1"), 0, "[x|-|-]1[end]");
    expect(TYPE, ONE(NAME("x") "\r\nContent-Type: " X100("ab"), ""), LONG, "");
    expect(TYPE, ONE(X100("abc") ": " NAME("x"), ""), LONG, "");
    expect(TYPE, ONE(NAME("x") "\r\nX: " X100("0123456789"), ""), LONG, "");
    // RFC 2046 5.1.1: white space behind a boundary, of which 64 bytes are taken.
    expect(TYPE, "--XyZ" X10("      ") "    \r\n" NAME("x") "\r\n\r\n1\r\n--XyZ--", 0, NULL);
    expect(TYPE, "--XyZ" X10("      ") "     \r\n" NAME("x") "\r\n\r\n1\r\n--XyZ--", BAD, "");
    // 1 KiB of fields, in which a line counts with its CR and without its LF.
    for (int more = 0; more < 2; more++) {
        char body[1200];
        sink s = {{0}, 0, t_seed(1), 0, 0, 0, 0, 0};
        snprintf(body, sizeof body, ONE(NAME("x") "\r\nX:%*s", "1"),
                 1024 + more - (int)strlen(NAME("x") "\r" "X:" "\r" "\r"), "");
        T_EQ(read_form(TYPE, (const uint8_t *)body, strlen(body), 0, 0, 200, &s),
             more ? LONG : 0);
        t_buf_free(&s.log);
    }
    // The memory holds the strings of a part and one line; whatever its size, no byte beyond it.
    for (size_t size = 0; size < 160; size++) {
        static const char body[] = ONE(NAME("\"first\"; filename=\"second\"") "\r\n"
                                       "Content-Type: text/plain", "1");
        sink s = {{0}, 0, t_seed(1), 0, 0, 0, 0, 0};
        t_put(&s.log, "", 0);
        int is = read_form(TYPE, (const uint8_t *)body, sizeof body - 1, 0, 0, size, &s);
        T_CHECK(is == (size <= strlen(TYPE) ? RTPUSH_MULTIPART_TYPE : size < 64 ? LONG : 0),
                "%lu bytes of memory: %d", (unsigned long)size, is);
        assert_string_equal(t_text(&s.log), is == 0 ? "[first|second|text/plain]1[end]" : "");
        t_buf_free(&s.log);
    }
}

// Names of every length in memory of every size: the part comes whole, or is too long.
static void multipart_takes_names_of_every_length(U_STATE) {
    const size_t strings = sizeof "XyZ" + sizeof "x"; // boundary and name
    for (size_t size = 60; size < 120; size++) {
        const size_t name = size - strings - sizeof "Content-Disposition: form-data; name=\"\"";
        char body[400];
        sink s = {{0}, 0, t_seed(1), 0, 0, 0, 0, 0};
        t_put(&s.log, "", 0);
        for (size_t len = 1; len <= name; len++) {
            snprintf(body, sizeof body,
                     "--XyZ\r\n" NAME("\"%0*d\"") "\r\nX: y\r\n\r\n1\r\n--XyZ--", (int)len, 0);
            s.log.len = 0;
            int is = read_form(TYPE, (const uint8_t *)body, strlen(body), 0, 0, size, &s);
            T_CHECK(is == 0 || is == LONG, "%lu bytes, a name of %lu: %d", (unsigned long)size,
                    (unsigned long)len, is);
            T_CHECK((is == 0) == (s.log.len > 0), "a part of a form that is too long");
        }
        t_buf_free(&s.log);
    }
}

// An error of the application ends it, whichever event it is for, and is what it gave.
static void multipart_gives_back_the_applications_error(U_STATE) {
    static const char body[] = ONE(NAME("x"), "1") "tail";
    for (int early = 0; early < 3; early++) {
        sink s = {{0}, 0, t_seed(1), 0, -7, 0, 0, early};
        T_EQ(read_form(TYPE, (const uint8_t *)body, sizeof body - 1, 0, 0, 200, &s), -7);
        T_EQ(s.events, 3 - early);
        t_buf_free(&s.log);
    }
}

// -- forms by chance ------------------------------------------------------------------------------

static void put_some(t_buf *out, t_buf *log, t_rng *rng) {
    static const char *const bits[] = {"\r\n--XyZ!" + 0, "\r\n--Xy", "\r\n-", "\r", "\n", "--XyZ",
                                       "abc", "\r\n", "\r\r\n--", "Z", "-", "0123456789"};
    for (int n = (int)t_below(rng, 8); n > 0; n--) {
        size_t pick = 1 + t_below(rng, 11); // the first would be malformed
        t_puts(out, bits[pick]);
        if (log) {
            t_puts(log, bits[pick]);
        }
    }
}

// Is there a delimiter in it, or with the CR LF before it?
static int has_delimiter(const t_buf *b) {
    return strstr(t_text(b), "\r\n--XyZ") != NULL || strncmp(t_text(b), "--XyZ", 5) == 0;
}

static void make_form(t_buf *out, t_buf *log, t_rng *rng) {
    char text[100];
    t_put(log, "", 0);
    for (int parts = (int)t_below(rng, 4); parts > 0; parts--) {
        t_buf data = {0};
        do {
            data.len = 0;
            t_put(&data, "", 0);
            put_some(&data, NULL, rng);
        } while (has_delimiter(&data));
        int file = (int)t_below(rng, 2);
        snprintf(text, sizeof text, "--XyZ%s\r\nContent-Disposition: form-data; name=\"n%d\"%s",
                 t_below(rng, 4) ? "" : " \t", parts, file ? "; filename=\"d/f\"" : "");
        t_puts(out, text);
        t_puts(out, t_below(rng, 3) ? "\r\n\r\n" : "\r\nX-Y: z\r\n\r\n");
        t_put(out, data.data, data.len);
        t_puts(out, "\r\n");
        snprintf(text, sizeof text, "[n%d|%s|-]", parts, file ? "f" : "-");
        t_puts(log, text);
        t_put(log, data.data, data.len);
        t_puts(log, "[end]");
        t_buf_free(&data);
    }
    t_puts(out, "--XyZ--");
    put_some(out, NULL, rng);
}

static void multipart_is_the_same_at_every_cut(U_STATE) {
    for (uint32_t seed = 1; seed <= 4000; seed++) {
        t_rng rng = t_seed(seed);
        t_buf form = {0};
        t_buf log = {0};
        int wanted = RTPUSH_OK;
        make_form(&form, &log, &rng);
        if (seed % 2) { // now anything may come of it, but always the same
            for (int n = 1 + (int)t_below(&rng, 3); n > 0; n--) {
                form.data[t_below(&rng, (uint32_t)form.len)] = "\r\n-X\":;= "[t_below(&rng, 9)];
            }
            if (t_below(&rng, 3) == 0) {
                form.len = t_below(&rng, (uint32_t)form.len);
            }
            sink s = {{0}, 0, t_seed(1), 0, 0, 0, 0, 0};
            t_put(&s.log, "", 0);
            wanted = read_form(TYPE, form.data, form.len, 0, 0, 120, &s);
            t_buf_free(&log);
            log = s.log;
        }
        for (int round = 0; round < 6; round++) {
            sink s = {{0}, round > 2 ? 3u : 0u, t_seed(seed * 8 + (uint32_t)round), 0, 0, 0, 0, 0};
            t_put(&s.log, "", 0);
            int is = read_form(TYPE, form.data, form.len, 0, round % 3 * 20u + 1u, 120, &s);
            if (is != wanted || strcmp(t_text(&s.log), t_text(&log)) != 0) {
                t_show(form.data, form.len);
                fprintf(stderr, "wanted %d %s\nis %d %s\n", wanted, t_text(&log), is,
                        t_text(&s.log));
                T_FAIL("seed %lu round %d", (unsigned long)seed, round);
            }
            t_buf_free(&s.log);
        }
        t_buf_free(&form);
        t_buf_free(&log);
    }
}

// -- from the socket to the part ------------------------------------------------------------------

static rtpush_multipart form;
static char words[200];
static sink files;

static void on_form(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    (void)rtpush_multipart_init(&form, req->content_type, words, sizeof words, on_part, &files);
}

static int on_form_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                        size_t len, int last) {
    int result = rtpush_multipart_read(&form, data, len, last);
    if (result == RTPUSH_RETRY) {
        return result;
    }
    if (result < 0) {
        T_EQ(rtpush_reply_text(srv, req->conn, rtpush_multipart_status(result), "bad form"), 0);
    } else if (last) {
        T_EQ(rtpush_reply_text(srv, req->conn, 200, "stored"), 0);
    }
    return RTPUSH_OK;
}

static void multipart_works_behind_on_body(U_STATE) {
    static const char *const types[] = {"multipart/form-data", NULL};
    static const char body[] = ONE(NAME("fw; filename=\"f.bin\""), X100("data\r\n--Xy "));
    for (int later = 0; later < 3; later++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            t_world *w = t_fixture();
            char head[300];
            w->in_mode = later == 2 ? T_BYTES : T_WHOLE;
            t_routes[T_R_UPLOAD].body_types = types;
            t_routes[T_R_UPLOAD].on_request = on_form;
            t_routes[T_R_UPLOAD].on_body = on_form_body;
            w->desc.rate_bytes = RTPUSH_UNLIMITED;
            w->desc.head_ms = w->desc.body_ms = 600000;
            w->quiet = 1;
            t_start(w);
            memset(&files, 0, sizeof files);
            t_put(&files.log, "", 0);
            files.later = later ? 3 : 0;
            files.rng = t_seed(5);
            snprintf(head, sizeof head, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Type: " TYPE
                     "\r\n%s%lu\r\n\r\n", chunked ? "Transfer-Encoding: chunked\r\nX: " :
                     "Content-Length: ", (unsigned long)sizeof body - 1);
            u_peer *p = u_open(w, head);
            if (chunked) {
                snprintf(head, sizeof head, "%lx\r\n", (unsigned long)sizeof body - 1);
                t_says(p->c, head);
            }
            t_feed(p->c, body, sizeof body - 1);
            t_says(p->c, chunked ? "\r\n0\r\n\r\n" : "");
            for (int i = 0; i < 3000 && !strstr(u_read(p), "200"); i++) {
                t_advance(w, 300);
            }
            u_is(p, "200 stored\n");
            assert_string_equal(t_text(&files.log), "[fw|f.bin|-]" X100("data\r\n--Xy ") "[end]");
            t_buf_free(&files.log);
            u_free(p);
            t_finish(w);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(multipart_reads_forms_of_browsers_and_curl),
        u_test(multipart_decodes_names),
        u_test(multipart_keeps_data_that_begins_like_a_boundary),
        u_test(multipart_reads_boundaries),
        u_test(multipart_refuses_what_is_malformed),
        u_test(multipart_bounds_the_fields),
        u_test(multipart_takes_names_of_every_length),
        u_test(multipart_gives_back_the_applications_error),
        u_test(multipart_is_the_same_at_every_cut),
        u_test(multipart_works_behind_on_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
