// transcripts.h - conversations: what the peer sends, what it must get, what the application sees.
//
// The language of `in` and `out` is described in fixture.h. Each transcript is run
//   - whole, byte by byte, and cut in two at every place: same bytes out, same events;
//   - with output taken one byte at a time, acknowledged late;
//   - with authorize deciding by rtpush_authorize, inside itself and later;
//   - behind a good request on the same connection, and with a good request behind it: after an
//     answer that closes, nothing more is interpreted (request smuggling);
//   - and through "the power cut": the connection is dropped after every byte that comes in and
//     after every byte that goes out, and it falls silent or half-closes after every byte. Every
//     slot must be free afterwards.

#ifndef T_TRANSCRIPTS_H
#define T_TRANSCRIPTS_H

#include "fixture.h"

enum { T_STAYS, T_CLOSES, T_EITHER }; // what the server does with the connection afterwards

typedef struct t_script {
    const char *name;
    const char *in;
    const char *out;
    const char *events; // NULL: any
    int end;
} t_script;

#define T_400 "HTTP/1.1 400 |Connection: close"
#define T_GET11(target) "GET " target " HTTP/1.1\r\n" T_HOST "\r\n"
#define T_HELLO_WITH(field) "GET /hello HTTP/1.1\r\n" T_HOST field "\r\n\r\n"
#define T_POST_WITH(field) "POST /echo HTTP/1.1\r\n" T_HOST field "\r\n\r\n"
#define T_CHUNKED T_POST_WITH("Transfer-Encoding: chunked")
#define T_CHUNKED_UP "POST /upload HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n"
#define T_WS_WITH(field) "GET /ws HTTP/1.1\r\n" T_WS_FIELDS field "\r\n\r\n"
#define T_OK_HELLO "HTTP/1.1 200 |Content-Length: 5|\r\n\r\nhello"
#define T_101 "HTTP/1.1 101 |Sec-WebSocket-Accept: " T_ACCEPT "|\r\n\r\n"
#define T_NONE "!request|!open|!message"

static const t_script t_scripts[] = {
    // -- requests that are fine --
    {"get", "{GET /hello}", T_OK_HELLO, "request GET /hello?|close NONE", T_STAYS},
    {"get_with_query", "{GET /hello?a=1&b=%20}", T_OK_HELLO, "request GET /hello?a=1&b=%20",
     T_STAYS},
    // Section 9.3.2 of RFC 9110: HEAD is GET without the body, with its fields.
    {"head", "HEAD /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 200 |Content-Length: 5|!hello",
     "request HEAD /hello", T_STAYS},
    {"http_1_0_is_closed", "GET /hello HTTP/1.0\r\n\r\n", "HTTP/1.1 200 |\r\n\r\nhello",
     "request GET /hello", T_CLOSES},
    {"http_1_0_with_host", "GET /hello HTTP/1.0\r\n" T_HOST "\r\n", "HTTP/1.1 200 |hello", NULL,
     T_CLOSES},
    {"connection_close", T_HELLO_WITH("Connection: close"), T_OK_HELLO, NULL, T_CLOSES},
    {"connection_close_in_a_list", T_HELLO_WITH("Connection: foo , CLOSE"), T_OK_HELLO, NULL,
     T_CLOSES},
    {"two_pipelined", "{GET /hello}{GET /files/x}", "HTTP/1.1 200 |hello|HTTP/1.1 200 |\r\n\r\nx",
     "request GET /hello|request GET /files/x", T_STAYS},
    {"five_pipelined", "{GET /hello}{GET /}{GET /nope}{GET /files/y}{GET /hello}",
     "HTTP/1.1 200 |hello|HTTP/1.1 200 |<<title>device|HTTP/1.1 404 |HTTP/1.1 200 |\r\n\r\ny|"
     "HTTP/1.1 200 |hello",
     NULL, T_STAYS},
    // RFC 9112 2.2: a CRLF before the request line is skipped.
    {"empty_line_first", "\r\n{GET /hello}", T_OK_HELLO, "request GET /hello", T_STAYS},
    // RFC 9112 3.2.2: absolute-form is accepted, its authority replaces Host.
    {"absolute_form", T_GET11("http://10.0.0.1/hello?q"), T_OK_HELLO, "request GET /hello?q",
     T_STAYS},
    {"absolute_form_replaces_host", "GET http://10.0.0.9/keep HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n",
     "HTTP/1.1 200 |host=10.0.0.9 ", NULL, T_STAYS},
    // RFC 9112 3.2: an invalid Host is refused all the same.
    {"absolute_form_invalid_host", "GET http://10.0.0.9/hello HTTP/1.1\r\nHost: a@b\r\n\r\n",
     T_400, T_NONE, T_CLOSES},
    {"absolute_form_host_in_capitals",
     "GET http://10.0.0.9/hello HTTP/1.1\r\nHost: Other.Example:80\r\n\r\n", T_OK_HELLO, NULL,
     T_STAYS},
    {"absolute_form_foreign", T_GET11("http://evil.example/hello"), "HTTP/1.1 421 ", T_NONE,
     T_EITHER},
    {"absolute_form_root", T_GET11("http://10.0.0.1"), "HTTP/1.1 200 |device", NULL, T_STAYS},
    {"escaped_path", T_GET11("/files/a%20b/%63"), "HTTP/1.1 200 |\r\n\r\na b/c", NULL, T_STAYS},
    // RFC 3986 2.2: an escaped slash is no separator; decoded once, so %252F is the text %2F.
    // '*' in a path is a character (RFC 3986 3.3), also where the route's stands for the rest.
    {"asterisk_in_the_rest", T_GET11("/files/*"), "HTTP/1.1 200 |\r\n\r\n*", NULL, T_STAYS},
    {"asterisk_before_the_rest", T_GET11("/files/*x/%2A"), "HTTP/1.1 200 |\r\n\r\n*x/*", NULL,
     T_STAYS},
    {"escaped_slash", T_GET11("/files/a%2Fb"), T_400, T_NONE, T_CLOSES},
    {"escaped_slash_in_lower_case", T_GET11("/files/a%2fb"), T_400, T_NONE, T_CLOSES},
    {"escaped_slash_for_a_separator", T_GET11("/files%2Fa"), T_400, T_NONE, T_CLOSES},
    {"escaped_slash_to_post", "POST /echo%2F HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\n\r\n",
     T_400, T_NONE, T_CLOSES},
    {"escaped_slash_in_an_absolute_form", T_GET11("http://10.0.0.1/files/%2Fb"), T_400, T_NONE,
     T_CLOSES},
    {"escaped_backslash", T_GET11("/files/..%5Ca"), T_400, T_NONE, T_CLOSES},
    {"backslash", T_GET11("/files/a\\b"), T_400, T_NONE, T_CLOSES},
    {"escaped_twice", T_GET11("/files/a%252Fb%255C%252e%252e"),
     "HTTP/1.1 200 |\r\n\r\na%2Fb%5C%2e%2e", "request GET /files/a%2Fb%5C%2e%2e", T_STAYS},
    {"escaped_slash_in_the_query", T_GET11("/hello?a=%2F"), T_OK_HELLO,
     "request GET /hello?a=%2F", T_STAYS},
    {"escaped_route", T_GET11("/%68ello"), T_OK_HELLO, NULL, T_STAYS},
    {"wildcard_rest_empty", T_GET11("/files/"), "HTTP/1.1 200 |Content-Length: 0", NULL, T_STAYS},
    {"field_case_and_space",
     "GET /keep HTTP/1.1\r\nhOsT:10.0.0.1\r\nX-ONE:   a b  \r\nX-Two:\r\n\r\n",
     "HTTP/1.1 200 |one=a b two= auth=-", NULL, T_STAYS},
    {"field_that_is_a_prefix", T_HELLO_WITH("Hostess: x\r\nConnectio: close\r\nX-On: 1"),
     T_OK_HELLO, NULL, T_STAYS},
    // RFC 9110 5.3: of a field of the application that comes twice the last line counts.
    {"kept_field_twice",
     "GET /keep HTTP/1.1\r\n" T_HOST "X-One: a\r\nX-Two: t\r\nX-One: b\r\nX-One: c\r\n\r\n",
     "HTTP/1.1 200 |one=c two=t ", NULL, T_STAYS},
    {"kept_field_twice_and_empty",
     "GET /keep HTTP/1.1\r\n" T_HOST "X-One: a\r\nX-One:\r\n\r\n", "HTTP/1.1 200 |one= two=- ",
     NULL, T_STAYS},
    {"authorization_twice",
     "GET /keep HTTP/1.1\r\n" T_HOST "Authorization: Basic Zm9v\r\nAuthorization: Basic Zm9v"
     "\r\n\r\n",
     T_400, T_NONE, T_CLOSES},
    {"last_event_id_twice",
     "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: a\r\nLast-Event-ID: a\r\n\r\n", T_400,
     T_NONE, T_CLOSES},
    {"kept_field",
     "GET /keep HTTP/1.1\r\n" T_HOST
     "Cookie: a=1; sid=abc; sidx=9\r\nAuthorization: Basic Zm9v\r\n\r\n",
     "HTTP/1.1 200 |auth=Basic Zm9v cookie=abc ", NULL, T_STAYS},
    {"cookie_quoted_name_prefix", "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: xsid=1; sidx=2\r\n\r\n",
     "HTTP/1.1 200 |cookie=- ", NULL, T_STAYS},
    {"cookie_200_pairs",
     "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: {rep 1200 a}=b; {rep 1000 c}; sid=here\r\n\r\n",
     "HTTP/1.1 200 |cookie=here ", NULL, T_STAYS},
    {"long_field_nobody_wants", T_HELLO_WITH("User-Agent: {rep 3000 u}"), T_OK_HELLO, NULL,
     T_STAYS},
    {"obs_text_in_a_value", "GET /keep HTTP/1.1\r\n" T_HOST "X-One: \xC3\xA9\xFF\r\n\r\n",
     "HTTP/1.1 200 |one=\xC3\xA9\xFF ", NULL, T_STAYS},

    // -- request lines that are not (RFC 9112 3) --
    {"tls_on_the_plain_port", "{hex 16030100c8010000c40303aabbccdd}\r\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"bare_lf", "GET /hello HTTP/1.1\nHost: 10.0.0.1\n\n", T_400, T_NONE, T_CLOSES},
    {"bare_lf_after_a_field", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"bare_cr", "GET /hello\r HTTP/1.1\r\n" T_HOST "\r\n", T_400, T_NONE, T_CLOSES},
    {"cr_cr_lf", "GET /hello HTTP/1.1\r\r\n" T_HOST "\r\n", T_400, T_NONE, T_CLOSES},
    {"cr_cr_lf_after_a_field", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1\r\r\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"http_0_9", "GET /hello\r\n", "HTTP/1.1 400 ~HTTP/1.1 505 ", T_NONE, T_CLOSES},
    // RFC 9110 2.5: a higher minor version is served as the highest we know.
    {"http_1_2", "GET /hello HTTP/1.2\r\n" T_HOST "\r\n", T_OK_HELLO, NULL, T_STAYS},
    {"http_1_2_without_host", "GET /hello HTTP/1.2\r\n\r\n", "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"http_2_0", "GET /hello HTTP/2.0\r\n" T_HOST "\r\n", "HTTP/1.1 505 ", T_NONE, T_CLOSES},
    {"h2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505 ~HTTP/1.1 501 ~HTTP/1.1 400 ",
     T_NONE, T_CLOSES},
    {"version_with_a_tail", "GET /hello HTTP/1.1x\r\n" T_HOST "\r\n", "HTTP/1.1 400 ~HTTP/1.1 505 ",
     T_NONE, T_CLOSES},
    {"version_lower_case", "GET /hello http/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 400 ~HTTP/1.1 505 ",
     T_NONE, T_CLOSES},
    {"version_11", "GET /hello HTTP/11\r\n" T_HOST "\r\n", "HTTP/1.1 400 ~HTTP/1.1 505 ", T_NONE,
     T_CLOSES},
    {"two_spaces", "GET  /hello HTTP/1.1\r\n" T_HOST "\r\n", T_400, T_NONE, T_CLOSES},
    {"two_spaces_before_version", "GET /hello  HTTP/1.1\r\n" T_HOST "\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 505 ", T_NONE, T_CLOSES},
    {"tab_for_space", "GET\t/hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 400 ~HTTP/1.1 501 ",
     T_NONE, T_CLOSES},
    {"space_first", " GET /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 400 ~HTTP/1.1 501 ", T_NONE,
     T_CLOSES},
    {"no_target", "GET HTTP/1.1\r\n" T_HOST "\r\n", T_400, T_NONE, T_CLOSES},
    {"relative_target", T_GET11("hello"), T_400, T_NONE, T_CLOSES},
    {"unknown_method", "BREW /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 501 ", T_NONE, T_EITHER},
    {"method_lower_case", "get /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 501 ", T_NONE,
     T_EITHER},
    {"method_with_a_tail", "GETX /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 501 ", T_NONE,
     T_EITHER},
    {"method_prefix", "GE /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 501 ", T_NONE, T_EITHER},
    {"long_method", "{rep 300 G} /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 501 ~HTTP/1.1 400 ",
     T_NONE, T_CLOSES},
    {"method_not_a_token", "G(T /hello HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 400 ~HTTP/1.1 501 ",
     T_NONE, T_CLOSES},
    // Section 15.5.6 of RFC 9110: 405 MUST carry Allow.
    {"method_of_another_route", "POST /hello HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\n\r\n",
     "HTTP/1.1 405 |Allow: GET, HEAD", T_NONE, T_EITHER},
    {"delete_a_file", "DELETE / HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 405 |Allow: GET, HEAD",
     T_NONE, T_EITHER},
    {"get_where_only_post", "{GET /echo}", "HTTP/1.1 405 |Allow: POST, PUT", T_NONE, T_EITHER},
    {"options_is_answered", "OPTIONS /hello HTTP/1.1\r\n" T_HOST "\r\n",
     "HTTP/1.1 204 ~HTTP/1.1 200 |Allow: |GET", T_NONE, T_STAYS},
    {"options_star", "OPTIONS * HTTP/1.1\r\n" T_HOST "\r\n",
     "HTTP/1.1 204 ~HTTP/1.1 200 ~HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"get_star", "GET * HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 400 ~HTTP/1.1 404 ", T_NONE,
     T_EITHER},
    {"connect_authority", "CONNECT 10.0.0.1:80 HTTP/1.1\r\n" T_HOST "\r\n",
     "HTTP/1.1 501 ~HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"not_found", "{GET /nothing}", "HTTP/1.1 404 ", T_NONE, T_EITHER},
    {"not_found_longer", "{GET /hello/}", "HTTP/1.1 404 ", T_NONE, T_EITHER},
    {"not_found_shorter", "{GET /hell}", "HTTP/1.1 404 ", T_NONE, T_EITHER},
    {"not_found_case", "{GET /HELLO}", "HTTP/1.1 404 ", T_NONE, T_EITHER},
    {"dot_segments", "{GET /files/../hello}", "HTTP/1.1 400 ~HTTP/1.1 404 ", T_NONE, T_EITHER},
    {"dot_segments_escaped", "{GET /files/%2e%2e/hello}", "HTTP/1.1 400 ~HTTP/1.1 404 ", T_NONE,
     T_EITHER},
    {"dot_segment_at_the_end", "{GET /files/..}", "HTTP/1.1 400 ~HTTP/1.1 404 ", T_NONE, T_EITHER},
    {"dot_segment_of_one", "{GET /files/./a}", "HTTP/1.1 400 ~HTTP/1.1 404 ", T_NONE, T_EITHER},
    {"dot_segment_after_an_empty_one", "{GET /files//../a}", "HTTP/1.1 400 ~HTTP/1.1 404 ", T_NONE,
     T_EITHER},
    {"names_that_begin_with_dots", "{GET /files/.a/..b/.../c.}",
     "HTTP/1.1 200 |\r\n\r\n.a/..b/.../c.", NULL, T_STAYS},
    {"empty_segments", "{GET /files//a//}", "HTTP/1.1 200 |\r\n\r\n/a//", NULL, T_STAYS},
    {"nul_escaped", "{GET /hello%00}", T_400, T_NONE, T_CLOSES},
    {"escape_cut", "{GET /hello%}", T_400, T_NONE, T_CLOSES},
    {"escape_cut_after_a_digit", "{GET /hello%1}", T_400, T_NONE, T_CLOSES},
    {"escape_cut_before_the_query", "{GET /hello%6?x}", T_400, T_NONE, T_CLOSES},
    {"escape_not_hex", "{GET /hello%zz}", T_400, T_NONE, T_CLOSES},
    {"nul_in_the_target", "GET /hel{hex 00}lo HTTP/1.1\r\n" T_HOST "\r\n", T_400, T_NONE, T_CLOSES},
    {"high_byte_in_the_target", T_GET11("/hell\xC3\xB6"), T_400, T_NONE, T_CLOSES},
    {"control_in_the_target", T_GET11("/hello\x7F"), T_400, T_NONE, T_CLOSES},
    {"fragment_in_the_target", T_GET11("/hello#top"), T_400, T_NONE, T_CLOSES},
    {"target_of_8_kilobytes", T_GET11("/{rep 8000 /}"), "HTTP/1.1 414 ", T_NONE, T_CLOSES},
    {"query_of_8_kilobytes", T_GET11("/hello?{rep 8000 q}"), "HTTP/1.1 414 ", T_NONE, T_CLOSES},
    {"authority_of_8_kilobytes", T_GET11("http://{rep 8000 a}/hello"),
     "HTTP/1.1 414 ~HTTP/1.1 400 ~HTTP/1.1 431 ~HTTP/1.1 421 ", T_NONE, T_CLOSES},

    // -- field lines that are not (RFC 9112 5) --
    {"no_colon", T_HELLO_WITH("Nothing"), T_400, T_NONE, T_CLOSES},
    {"no_name", T_HELLO_WITH(": x"), T_400, T_NONE, T_CLOSES},
    // RFC 9112 5.1: space before the colon MUST be refused with 400 (smuggling).
    {"space_before_colon", T_HELLO_WITH("Content-Length : 5"), T_400, T_NONE, T_CLOSES},
    {"tab_before_colon", T_HELLO_WITH("X-One\t: 5"), T_400, T_NONE, T_CLOSES},
    // Section 5.2 of RFC 9112: obs-fold is refused.
    {"obs_fold", T_HELLO_WITH("X-One: a\r\n b"), T_400, T_NONE, T_CLOSES},
    {"obs_fold_on_the_first_field", "GET /hello HTTP/1.1\r\n Host: 10.0.0.1\r\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"nul_in_a_value", T_HELLO_WITH("X-One: a{hex 00}b"), T_400, T_NONE, T_CLOSES},
    {"nul_in_a_skipped_value", T_HELLO_WITH("Other: a{hex 00}b"), T_400, T_NONE, T_CLOSES},
    {"vertical_tab_in_a_value", T_HELLO_WITH("X-One: a\x0B"), T_400, T_NONE, T_CLOSES},
    {"del_in_a_value", T_HELLO_WITH("X-One: a\x7F"), T_400, T_NONE, T_CLOSES},
    {"nul_in_a_name", T_HELLO_WITH("X{hex 00}One: a"), T_400, T_NONE, T_CLOSES},
    {"bare_cr_in_a_value", T_HELLO_WITH("X-One: a\rb"), T_400, T_NONE, T_CLOSES},
    {"paren_in_a_name", T_HELLO_WITH("X(One): a"), T_400, T_NONE, T_CLOSES},
    {"head_over_16_kilobytes", T_HELLO_WITH("Other: {rep 17000 x}"), "HTTP/1.1 431 ", T_NONE,
     T_CLOSES},
    {"kept_field_too_long", "GET /keep HTTP/1.1\r\n" T_HOST "X-One: {rep 2000 x}\r\n\r\n",
     "HTTP/1.1 431 ", T_NONE, T_CLOSES},
    {"kept_cookie_too_long", "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: sid={rep 8000 x}\r\n\r\n",
     "HTTP/1.1 431 ", T_NONE, T_CLOSES},
    {"host_too_long", "GET /hello HTTP/1.1\r\nHost: {rep 2000 x}\r\n\r\n", "HTTP/1.1 431 ", T_NONE,
     T_CLOSES},

    // -- Host (RFC 9112 3.2) and DNS rebinding --
    {"host_absent", "GET /hello HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"host_absent_but_hostess", "GET /hello HTTP/1.1\r\nHostess: 10.0.0.1\r\n\r\n", "HTTP/1.1 400 ",
     T_NONE, T_EITHER},
    {"host_twice", T_HELLO_WITH("Host: 10.0.0.1"), T_400, T_NONE, T_CLOSES},
    {"host_empty", "GET /hello HTTP/1.1\r\nHost:\r\n\r\n", "HTTP/1.1 400 ~HTTP/1.1 421 ", T_NONE,
     T_EITHER},
    {"host_port", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n\r\n", T_OK_HELLO, NULL, T_STAYS},
    {"host_ipv6", "GET /hello HTTP/1.1\r\nHost: [fe80::1]\r\n\r\n", T_OK_HELLO, NULL, T_STAYS},
    {"host_ipv6_port", "GET /hello HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", T_OK_HELLO, NULL, T_STAYS},
    {"host_localhost", "GET /hello HTTP/1.1\r\nHost: LocalHost:8000\r\n\r\n", T_OK_HELLO, NULL,
     T_STAYS},
    {"host_listed", "GET /hello HTTP/1.1\r\nHost: Device.Local\r\n\r\n", T_OK_HELLO, NULL, T_STAYS},
    {"host_foreign", "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421 ",
     "refuse 421 HOST|" T_NONE, T_EITHER},
    {"host_foreign_on_a_file", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421 ",
     T_NONE, T_EITHER},
    {"host_suffix", "GET /hello HTTP/1.1\r\nHost: device.local.evil.example\r\n\r\n",
     "HTTP/1.1 421 ", T_NONE, T_EITHER},
    {"host_prefix", "GET /hello HTTP/1.1\r\nHost: evil-device.local\r\n\r\n", "HTTP/1.1 421 ",
     T_NONE, T_EITHER},
    {"host_cut", "GET /hello HTTP/1.1\r\nHost: device.loca\r\n\r\n", "HTTP/1.1 421 ", T_NONE,
     T_EITHER},
    {"host_like_an_address", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1.evil.example\r\n\r\n",
     "HTTP/1.1 421 ", T_NONE, T_EITHER},
    {"host_number_name", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1a\r\n\r\n",
     "HTTP/1.1 421 ~HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"host_userinfo", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1@evil.example\r\n\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 421 ", T_NONE, T_EITHER},
    {"host_userinfo_before", "GET /hello HTTP/1.1\r\nHost: evil@10.0.0.1\r\n\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 421 ", T_NONE, T_EITHER},
    {"host_bad_port", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1:x\r\n\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 421 ", T_NONE, T_EITHER},
    {"host_open_bracket", "GET /hello HTTP/1.1\r\nHost: [::1\r\n\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 421 ", T_NONE, T_EITHER},
    {"host_path", "GET /hello HTTP/1.1\r\nHost: 10.0.0.1/x\r\n\r\n", "HTTP/1.1 400 ~HTTP/1.1 421 ",
     T_NONE, T_EITHER},
    {"host_1_0_foreign", "GET /hello HTTP/1.0\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421 ",
     T_NONE, T_CLOSES},

    // -- bodies (RFC 9112 6) --
    {"post", T_POST_WITH("Content-Length: 5") "abcde",
     "HTTP/1.1 200 |application/octet-stream|\r\n\r\nabcde", "request POST /echo? body=abcde",
     T_STAYS},
    {"post_nothing", T_POST_WITH("Content-Length: 0"), "HTTP/1.1 200 |Content-Length: 0",
     "request POST /echo? body=", T_STAYS},
    {"post_without_length", T_POST_WITH("X-One: 1"), "HTTP/1.1 200 ~HTTP/1.1 411 ", NULL, T_EITHER},
    {"post_pipelined",
     T_POST_WITH("Content-Length: 3") "abc" T_POST_WITH("Content-Length: 2") "de{GET /hello}",
     "\r\n\r\nabc|HTTP/1.1 200 |\r\n\r\nde|HTTP/1.1 200 |hello",
     "body=abc|body=de|request GET /hello", T_STAYS},
    {"post_largest", T_POST_WITH("Content-Length: 100") "{rep 100 z}", "HTTP/1.1 200 |\r\n\r\nzzzz",
     "request POST", T_STAYS},
    {"post_too_large", T_POST_WITH("Content-Length: 101") "{rep 101 z}", "HTTP/1.1 413 ", T_NONE,
     T_CLOSES},
    {"get_with_a_body", T_HELLO_WITH("Content-Length: 5") "abcde", "HTTP/1.1 413 ", T_NONE,
     T_CLOSES},
    {"length_empty", T_POST_WITH("Content-Length:"), T_400, T_NONE, T_CLOSES},
    {"length_minus", T_POST_WITH("Content-Length: -1"), T_400, T_NONE, T_CLOSES},
    {"length_plus", T_POST_WITH("Content-Length: +1") "a", T_400, T_NONE, T_CLOSES},
    {"length_space_after", T_POST_WITH("Content-Length: 1 ") "a", "HTTP/1.1 200 |\r\n\r\na", NULL,
     T_STAYS},
    {"length_space_inside", T_POST_WITH("Content-Length: 1 1") "a", T_400, T_NONE, T_CLOSES},
    {"length_hex", T_POST_WITH("Content-Length: 0x1") "a", T_400, T_NONE, T_CLOSES},
    {"length_list", T_POST_WITH("Content-Length: 1,1") "a", T_400, T_NONE, T_CLOSES},
    {"length_twice", T_POST_WITH("Content-Length: 1\r\nContent-Length: 1") "a", T_400, T_NONE,
     T_CLOSES},
    {"length_twice_differing", T_POST_WITH("Content-Length: 1\r\nContent-Length: 2") "ab", T_400,
     T_NONE, T_CLOSES},
    {"length_2_31", T_POST_WITH("Content-Length: 2147483648"), "HTTP/1.1 413 ", T_NONE, T_CLOSES},
    {"length_2_32", T_POST_WITH("Content-Length: 4294967296"), "HTTP/1.1 413 ~HTTP/1.1 400 ",
     T_NONE, T_CLOSES},
    {"length_2_32_and_1", T_POST_WITH("Content-Length: 4294967297") "a",
     "HTTP/1.1 413 ~HTTP/1.1 400 ", T_NONE, T_CLOSES},
    {"length_2_64", T_POST_WITH("Content-Length: 18446744073709551617") "a",
     "HTTP/1.1 413 ~HTTP/1.1 400 ", T_NONE, T_CLOSES},
    {"length_40_digits", T_POST_WITH("Content-Length: {rep 40 9}"), "HTTP/1.1 413 ~HTTP/1.1 400 ",
     T_NONE, T_CLOSES},
    {"length_leading_zeros", T_POST_WITH("Content-Length: 0000000000000000001") "a",
     "HTTP/1.1 200 |\r\n\r\na~HTTP/1.1 400 ", NULL, T_EITHER},
    // RFC 9112 7.1: chunked bodies.
    {"chunked", T_CHUNKED "3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 200 |Content-Length: 3|\r\n\r\nabc",
     "request POST /echo? body=abc", T_STAYS},
    {"chunked_in_three", T_CHUNKED "1\r\na\r\n002\r\nbc\r\n0A\r\n0123456789\r\n000\r\n\r\n",
     "HTTP/1.1 200 |\r\n\r\nabc0123456789", "body=abc0123456789", T_STAYS},
    {"chunked_pipelined",
     T_CHUNKED "3\r\nGET\r\n0\r\n\r\n" T_CHUNKED "4\r\n\r\n\r\n\r\n0\r\n\r\n{GET /hello}",
     "\r\n\r\nGET|HTTP/1.1 200 |Content-Length: 4|HTTP/1.1 200 |hello",
     "body=GET|body=\r\n\r\n|request GET /hello", T_STAYS},
    {"chunked_empty", T_CHUNKED "0\r\n\r\n", "HTTP/1.1 200 |Content-Length: 0",
     "request POST /echo? body=", T_STAYS},
    {"chunked_any_case", T_POST_WITH("transfer-ENCODING: \t CHUNKED ") "1\r\na\r\n0\r\n\r\n",
     "HTTP/1.1 200 |\r\n\r\na", "body=a", T_STAYS},
    {"chunked_size_in_hex", T_CHUNKED "1f\r\n{rep 31 a}\r\n1F\r\n{rep 31 b}\r\n0\r\n\r\n",
     "HTTP/1.1 200 |Content-Length: 62|ab", "request POST", T_STAYS},
    // RFC 9112 7.1: sizes of many digits must not overflow.
    {"chunked_size_of_8_digits", T_CHUNKED "00000001\r\na\r\n00000000\r\n\r\n",
     "HTTP/1.1 200 |\r\n\r\na", "body=a", T_STAYS},
    {"chunked_size_of_9_digits", T_CHUNKED "000000001\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_size_of_17_digits", T_CHUNKED "10000000000000001\r\na\r\n0\r\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"chunked_size_largest", T_CHUNKED "FFFFFFFF\r\nabc", "HTTP/1.1 413 |Connection: close",
     T_NONE, T_CLOSES},
    {"chunked_size_empty", T_CHUNKED "\r\nabc\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_size_minus", T_CHUNKED "-1\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_size_plus", T_CHUNKED "+1\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_size_0x", T_CHUNKED "0x1\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_size_space_first", T_CHUNKED " 1\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_size_space_behind", T_CHUNKED "1 \r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_size_g", T_CHUNKED "g\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_bare_lf", T_CHUNKED "1\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_bare_cr", T_CHUNKED "1\ra\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_cr_cr_lf", T_CHUNKED "1\r\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_data_without_crlf", T_CHUNKED "1\r\na0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_data_longer", T_CHUNKED "1\r\nab\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_data_bare_lf", T_CHUNKED "1\r\na\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_data_cr_cr", T_CHUNKED "1\r\na\r\r0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    // RFC 9112 7.1.1: unknown extensions are ignored, and limited.
    {"chunked_extension",
     T_CHUNKED "1;x\r\na\r\n1; name=\"a;b\"\r\nb\r\n0;last\r\n\r\n{GET /hello}",
     "HTTP/1.1 200 |\r\n\r\nab|HTTP/1.1 200 |hello", "body=ab|request GET /hello", T_STAYS},
    {"chunked_extension_longest", T_CHUNKED "1;{rep 64 x}\r\na\r\n1;{rep 64 y}\r\nb\r\n0\r\n\r\n",
     "HTTP/1.1 200 |\r\n\r\nab", "body=ab", T_STAYS},
    {"chunked_extension_too_long", T_CHUNKED "1;{rep 65 x}\r\na\r\n0\r\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"chunked_extension_bare_lf", T_CHUNKED "1;x\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_extension_bare_cr", T_CHUNKED "1;x\ry\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_extension_nul", T_CHUNKED "1;{hex 00}\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_extension_del", T_CHUNKED "1;{hex 7f}\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    // Deviation tested: white space before the extension (BWS) is refused.
    {"chunked_extension_space_first", T_CHUNKED "1 ;x\r\na\r\n0\r\n\r\n", T_400, T_NONE, T_CLOSES},
    // RFC 9112 7.1.2: trailers are read as fields and discarded.
    {"chunked_trailers",
     T_CHUNKED "1\r\na\r\n0\r\nX-Sum: 1\r\nHost: evil.example\r\nEmpty:\r\n\r\n{GET /hello}",
     "HTTP/1.1 200 |\r\n\r\na|HTTP/1.1 200 |hello", "body=a|request GET /hello", T_STAYS},
    {"chunked_trailers_longest", T_CHUNKED "1\r\na\r\n0\r\nX:{rep 1018 y}\r\n\r\n",
     "HTTP/1.1 200 |\r\n\r\na", "body=a", T_STAYS},
    {"chunked_trailers_too_long", T_CHUNKED "1\r\na\r\n0\r\nX:{rep 1019 y}\r\n\r\n",
     "HTTP/1.1 431 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_trailers_too_many", T_CHUNKED "1\r\na\r\n0\r\n{rep 60 X}:{rep 400 y}\r\n"
     "A:{rep 400 y}\r\nB:{rep 400 y}\r\n\r\n", "HTTP/1.1 431 |Connection: close", T_NONE,
     T_CLOSES},
    {"chunked_trailer_is_a_request", T_CHUNKED "0\r\nGET /hello HTTP/1.1\r\n" T_HOST "\r\n",
     T_400 "|!hello", T_NONE, T_CLOSES},
    {"chunked_trailer_without_colon", T_CHUNKED "0\r\nX\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_trailer_without_name", T_CHUNKED "0\r\n: x\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_trailer_space_first", T_CHUNKED "0\r\n X: y\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_trailer_space_before_colon", T_CHUNKED "0\r\nX : y\r\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"chunked_trailer_folded", T_CHUNKED "0\r\nX: y\r\n z\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_trailer_bare_lf", T_CHUNKED "0\r\nX: y\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_trailer_bare_cr", T_CHUNKED "0\r\nX: y\rz\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_trailer_nul", T_CHUNKED "0\r\nX: {hex 00}\r\n\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_end_bare_lf", T_CHUNKED "0\r\n\n", T_400, T_NONE, T_CLOSES},
    {"chunked_end_cr_cr", T_CHUNKED "0\r\n\r\r\n", T_400, T_NONE, T_CLOSES},
    {"chunked_end_without_line", T_CHUNKED "0\r\n{GET /hello}", T_400 "|!hello", T_NONE, T_CLOSES},
    // RFC 9112 6.3: a length beside it, in either order, and HTTP/1.0: refused, and closed.
    {"chunked_with_length",
     T_POST_WITH("Content-Length: 3\r\nTransfer-Encoding: chunked") "0\r\n\r\n{GET /hello}",
     T_400 "|!hello", T_NONE, T_CLOSES},
    {"chunked_before_length",
     T_POST_WITH("Transfer-Encoding: chunked\r\nContent-Length: 3") "0\r\n\r\n{GET /hello}",
     T_400 "|!hello", T_NONE, T_CLOSES},
    {"chunked_with_length_0",
     T_POST_WITH("Content-Length: 0\r\nTransfer-Encoding: chunked") "0\r\n\r\n", T_400, T_NONE,
     T_CLOSES},
    {"chunked_twice",
     T_POST_WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") "0\r\n\r\n", T_400,
     T_NONE, T_CLOSES},
    {"chunked_in_1_0",
     "POST /echo HTTP/1.0\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
     T_400, T_NONE, T_CLOSES},
    // RFC 9112 6.1: other codings, and chunked that is not the last or not alone.
    {"chunked_then_identity", T_POST_WITH("Transfer-Encoding: chunked, identity") "0\r\n\r\n",
     "HTTP/1.1 501 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_behind_gzip", T_POST_WITH("Transfer-Encoding: gzip, chunked") "0\r\n\r\n",
     "HTTP/1.1 501 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_and_a_comma", T_POST_WITH("Transfer-Encoding: chunked,") "0\r\n\r\n",
     "HTTP/1.1 501 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_with_parameter", T_POST_WITH("Transfer-Encoding: chunked;q=1") "0\r\n\r\n",
     "HTTP/1.1 501 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_quoted", T_POST_WITH("Transfer-Encoding: \"chunked\"") "0\r\n\r\n",
     "HTTP/1.1 501 |Connection: close", T_NONE, T_CLOSES},
    {"coding_empty", T_POST_WITH("Transfer-Encoding:") "0\r\n\r\n",
     "HTTP/1.1 501 |Connection: close", T_NONE, T_CLOSES},
    {"coding_identity", T_POST_WITH("Transfer-Encoding: identity"),
     "HTTP/1.1 501 |Connection: close", T_NONE, T_CLOSES},
    {"xchunked", T_POST_WITH("Transfer-Encoding: xchunked") "0\r\n\r\n",
     "HTTP/1.1 501 |Connection: close", "refuse 501 CODING|" T_NONE, T_CLOSES},
    {"chunked_vertical_tab", T_POST_WITH("Transfer-Encoding:\x0B chunked") "0\r\n\r\n", T_400,
     T_NONE, T_CLOSES},
    {"chunked_on_get", T_HELLO_WITH("Transfer-Encoding: chunked") "0\r\n\r\n",
     "HTTP/1.1 413 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_on_a_file", "GET / HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 413 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_on_a_stream",
     "GET /events HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 413 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_upgrade", T_WS_WITH("Transfer-Encoding: chunked") "0\r\n\r\n",
     "HTTP/1.1 413 |Connection: close", T_NONE, T_CLOSES},
    {"chunked_of_no_route",
     "POST /nothing HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GET /hello}",
     "HTTP/1.1 404 |Connection: close|!hello", T_NONE, T_CLOSES},
    {"chunked_options",
     "OPTIONS /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GET /hello}",
     "HTTP/1.1 204 |Connection: close|!hello", T_NONE, T_CLOSES},
    // max_body counts data alone, over all chunks.
    {"chunked_of_max_body",
     T_CHUNKED "32;x\r\n{rep 50 a}\r\n32\r\n{rep 50 b}\r\n0\r\nX: y\r\n\r\n",
     "HTTP/1.1 200 |Content-Length: 100|ab", "request POST", T_STAYS},
    {"chunked_over_max_body", T_CHUNKED "32\r\n{rep 50 a}\r\n33\r\n{rep 51 b}\r\n0\r\n\r\n",
     "HTTP/1.1 413 |Connection: close", "refuse 413 BODY|" T_NONE, T_CLOSES},
    {"chunked_expect_continue",
     T_POST_WITH("Transfer-Encoding: chunked\r\nExpect: 100-continue") "1\r\na\r\n0\r\n\r\n",
     "HTTP/1.1 100 |\r\n\r\n|HTTP/1.1 200 |\r\n\r\na", "body=a", T_STAYS},
    {"chunked_upload",
     T_CHUNKED_UP "3e8\r\n{rep 1000 u}\r\n3E8;x\r\n{rep 1000 u}\r\n0\r\n\r\n{GET /hello}",
     "HTTP/1.1 200 |\r\n\r\n2000 |HTTP/1.1 200 |hello",
     "request POST /upload|uploaded 2000 |request GET /hello", T_STAYS},
    {"chunked_upload_empty", T_CHUNKED_UP "0\r\n\r\n", "HTTP/1.1 200 |\r\n\r\n0 ",
     "request POST /upload|uploaded 0 ", T_STAYS},
    {"chunked_upload_too_large", T_CHUNKED_UP "3\r\nabc\r\n1869e\r\nabc",
     "HTTP/1.1 413 |Connection: close",
     "request POST /upload|refuse 413 BODY|close BODY|!uploaded", T_CLOSES},
    {"chunked_upload_malformed", T_CHUNKED_UP "3\r\nabc\r\nx\r\n",
     T_400, "request POST /upload|refuse 400 SYNTAX|close SYNTAX|!uploaded", T_CLOSES},
    {"expect_continue_alone", T_POST_WITH("Content-Length: 3\r\nExpect: 100-continue"),
     "HTTP/1.1 100 |\r\n\r\n|!HTTP/1.1 200 ", "!request", T_STAYS},
    {"expect_continue_too_large", T_POST_WITH("Content-Length: 999\r\nExpect: 100-continue"),
     "HTTP/1.1 413 |!HTTP/1.1 100 ", T_NONE, T_CLOSES},
    {"expect_continue_not_allowed",
     "POST /hello HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
     "HTTP/1.1 405 ~HTTP/1.1 413 |!HTTP/1.1 100 ", T_NONE, T_EITHER},
    // RFC 9110 10.1.1: a list.
    {"expect_continue_twice",
     T_POST_WITH("Content-Length: 3\r\nExpect: 100-continue, 100-Continue\r\nExpect: "
                 "100-continue"),
     "HTTP/1.1 100 |\r\n\r\n|!HTTP/1.1 200 ", "!request", T_STAYS},
    {"expect_other_among_known",
     T_POST_WITH("Content-Length: 3\r\nExpect: 100-continue, 200-ok") "abc", "HTTP/1.1 417 ",
     T_NONE, T_CLOSES},
    {"expect_other", T_POST_WITH("Content-Length: 3\r\nExpect: 200-ok") "abc", "HTTP/1.1 417 ",
     T_NONE, T_CLOSES},
    {"upload", "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 2000\r\n\r\n{rep 2000 u}",
     "HTTP/1.1 200 |\r\n\r\n2000 ", "request POST /upload|uploaded 2000 ", T_STAYS},
    {"upload_then_get",
     "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 7\r\n\r\nGET / H{GET /hello}",
     "HTTP/1.1 200 |\r\n\r\n7 |HTTP/1.1 200 |hello", "uploaded 7 |request GET /hello", T_STAYS},
    {"upload_too_large", "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 100001\r\n\r\nabc",
     "HTTP/1.1 413 ", T_NONE, T_CLOSES},

    // -- answers --
    {"file", "{GET /}", "HTTP/1.1 200 |!Content-Encoding|<<title>device<</title>", T_NONE, T_STAYS},
    {"file_head", "HEAD / HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 200 |!<<title>", T_NONE, T_STAYS},
    // RFC 9110 12.5.3, 12.5.5: a coded form is marked, and so is what it depends on.
    {"file_gzip", "GET / HTTP/1.1\r\n" T_HOST "Accept-Encoding: br, gzip\r\n\r\n",
     "HTTP/1.1 200 |Content-Encoding: gzip|gz12", T_NONE, T_STAYS},
    {"file_gzip_refused_by_q", "GET / HTTP/1.1\r\n" T_HOST "Accept-Encoding: gzip;q=0\r\n\r\n",
     "HTTP/1.1 200 |!Content-Encoding|<<title>", T_NONE, T_STAYS},
    {"file_not_xgzip", "GET / HTTP/1.1\r\n" T_HOST "Accept-Encoding: gzipx, agzip\r\n\r\n",
     "HTTP/1.1 200 |!Content-Encoding|<<title>", T_NONE, T_STAYS},
    {"file_only_gzip", "{GET /app.js}", "HTTP/1.1 200 |Content-Encoding: gzip|gz12", T_NONE,
     T_STAYS},
    {"file_query_ignored", "{GET /?v=3}", "HTTP/1.1 200 |<<title>", T_NONE, T_STAYS},
    // RFC 9110 13.1.2, 15.4.5: 304 carries the ETag and no body.
    {"file_not_modified", "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: \"v1-abc\"\r\n\r\n",
     "HTTP/1.1 304 |ETag: |v1-abc|!<<title>", T_NONE, T_STAYS},
    {"file_not_modified_weak", "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: W/\"v1-abc\"\r\n\r\n",
     "HTTP/1.1 304 |!<<title>", T_NONE, T_STAYS},
    {"file_not_modified_list",
     "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: \"v0\", \"v1-abc\"\r\n\r\n",
     "HTTP/1.1 304 |!<<title>", T_NONE, T_STAYS},
    {"file_not_modified_star", "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: *\r\n\r\n",
     "HTTP/1.1 304 |!<<title>", T_NONE, T_STAYS},
    {"file_modified", "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: \"v1-ab\"\r\n\r\n",
     "HTTP/1.1 200 |<<title>", T_NONE, T_STAYS},
    {"file_modified_unquoted", "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: xv1-abcx\r\n\r\n",
     "HTTP/1.1 200 |<<title>", T_NONE, T_STAYS},
    // RFC 9110 14.1.2, 14.4: a part of a file, and of what is sent from where it lies.
    {"file_range", "GET / HTTP/1.1\r\n" T_HOST "Range: bytes=10-16\r\n\r\n{GET /hello}",
     "HTTP/1.1 206 |Content-Range: bytes 10-16/36|Content-Length: 7|\r\n\r\nhtml><<|"
     "HTTP/1.1 200 |hello", NULL, T_STAYS},
    {"file_range_out_of_it", "GET / HTTP/1.1\r\n" T_HOST "Range: bytes=36-\r\n\r\n{GET /hello}",
     "HTTP/1.1 416 |Content-Range: bytes */36|Content-Length: 0|HTTP/1.1 200 |hello", NULL,
     T_STAYS},
    {"static_range", "GET /big HTTP/1.1\r\n" T_HOST "Range: bytes=26-30\r\n\r\n{GET /hello}",
     "HTTP/1.1 206 |bytes 26-30/70000|\r\n\r\nABCDE|HTTP/1.1 200 |hello", "close NONE",
     T_STAYS},
    {"pull", "{GET /pull}", "HTTP/1.1 200 |Transfer-Encoding: chunked|abcdefgh|\r\n0\r\n\r\n",
     "request GET /pull|close NONE", T_STAYS},
    {"pull_head", "HEAD /pull HTTP/1.1\r\n" T_HOST "\r\n", "HTTP/1.1 200 |!abcdef", "close NONE",
     T_STAYS},
    // Section 6.1 of RFC 9112: no chunks for HTTP/1.0, the end is the close.
    {"pull_1_0", "GET /pull HTTP/1.0\r\n\r\n", "HTTP/1.1 200 |!chunked|\r\n\r\nabcdefgh",
     "close NONE", T_CLOSES},
    {"pull_pipelined", "{GET /pull}{GET /hello}", "\r\n0\r\n\r\nHTTP/1.1 200 |hello", NULL,
     T_STAYS},

    // -- Origin --
    {"origin_own", "GET /hello HTTP/1.1\r\n" T_HOST "Origin: http://10.0.0.1\r\n\r\n", T_OK_HELLO,
     NULL, T_STAYS},
    {"origin_own_port",
     "GET /hello HTTP/1.1\r\nHost: 10.0.0.1:81\r\nOrigin: http://10.0.0.1:81\r\n\r\n", T_OK_HELLO,
     NULL, T_STAYS},
    {"origin_listed", T_POST_WITH("Content-Length: 1\r\nOrigin: https://app.example") "a",
     "HTTP/1.1 200 ", NULL, T_STAYS},
    {"origin_foreign", T_POST_WITH("Content-Length: 1\r\nOrigin: http://evil.example") "a",
     "HTTP/1.1 403 ", "refuse 403 ORIGIN|" T_NONE, T_EITHER},
    {"origin_foreign_get", T_HELLO_WITH("Origin: http://evil.example"), "HTTP/1.1 403 ", T_NONE,
     T_EITHER},
    {"origin_null", T_POST_WITH("Content-Length: 1\r\nOrigin: null") "a", "HTTP/1.1 403 ", T_NONE,
     T_EITHER},
    {"origin_suffix", T_POST_WITH("Content-Length: 1\r\nOrigin: https://app.example.evil") "a",
     "HTTP/1.1 403 ", T_NONE, T_EITHER},
    {"origin_prefix", T_POST_WITH("Content-Length: 1\r\nOrigin: https://app.exampl") "a",
     "HTTP/1.1 403 ", T_NONE, T_EITHER},
    {"origin_other_port", T_POST_WITH("Content-Length: 1\r\nOrigin: http://10.0.0.1:81") "a",
     "HTTP/1.1 403 ", T_NONE, T_EITHER},
    {"origin_twice", T_HELLO_WITH("Origin: http://10.0.0.1\r\nOrigin: http://10.0.0.1"), T_400,
     T_NONE, T_CLOSES},
    {"origin_foreign_on_a_file", "GET / HTTP/1.1\r\n" T_HOST "Origin: http://evil.example\r\n\r\n",
     "HTTP/1.1 200 |<<title>|!Access-Control", T_NONE, T_STAYS},

    // -- Upgrade (RFC 6455 4.2) --
    {"upgrade", "{WS /ws}", T_101, "open /ws - topics=f", T_STAYS},
    {"upgrade_case",
     "GET /ws HTTP/1.1\r\n" T_HOST "uPGRADE: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n"
     "sec-websocket-key: " T_KEY "\r\nSEC-WEBSOCKET-VERSION: 13\r\n\r\n",
     T_101, "open", T_STAYS},
    {"upgrade_list_with_holes",
     "GET /ws HTTP/1.1\r\n" T_HOST "Upgrade: websocket\r\nConnection: upgrade,,\r\n"
     "Sec-WebSocket-Key: " T_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
     T_101, "open", T_STAYS},
    {"upgrade_own_origin", T_WS_WITH("Origin: http://10.0.0.1"), T_101, "open", T_STAYS},
    {"upgrade_listed_origin", T_WS_WITH("Origin: https://app.example"), T_101, "open", T_STAYS},
    {"upgrade_foreign_origin", T_WS_WITH("Origin: http://evil.example"), "HTTP/1.1 403 ", T_NONE,
     T_EITHER},
    {"upgrade_foreign_suffix", T_WS_WITH("Origin: http://10.0.0.1.evil.example"), "HTTP/1.1 403 ",
     T_NONE, T_EITHER},
    {"upgrade_null_origin", T_WS_WITH("Origin: null"), "HTTP/1.1 403 ", T_NONE, T_EITHER},
    {"upgrade_any_origin",
     "GET /any HTTP/1.1\r\n" T_WS_FIELDS "Origin: http://evil.example\r\n\r\n", T_101, "open /any",
     T_STAYS},
    {"upgrade_foreign_host",
     "GET /ws HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Key: " T_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
     "HTTP/1.1 421 ", T_NONE, T_EITHER},
    // RFC 9110 15.5.22: 426 MUST name the protocol in Upgrade.
    {"upgrade_missing", "{GET /ws}", "HTTP/1.1 426 ", T_NONE, T_EITHER},
    {"upgrade_other", "GET /ws HTTP/1.1\r\n" T_HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
     "HTTP/1.1 426 ~HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_without_connection",
     "GET /ws HTTP/1.1\r\n" T_HOST "Upgrade: websocket\r\n"
     "Sec-WebSocket-Key: " T_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 426 ", T_NONE, T_EITHER},
    {"upgrade_connection_other",
     "GET /ws HTTP/1.1\r\n" T_HOST "Upgrade: websocket\r\nConnection: keep-alive, upgraded\r\n"
     "Sec-WebSocket-Key: " T_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 426 ", T_NONE, T_EITHER},
    {"upgrade_without_key", "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n",
     "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_key_empty",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key:\r\n\r\n",
     "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_key_15",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4P\r\n\r\n",
     "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_key_17",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEBE=\r\n\r\n",
     "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_key_25",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGQ==\r\n\r\n",
     "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_key_1000",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: {rep 1000 A}\r\n\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 431 ", T_NONE, T_EITHER},
    {"upgrade_key_not_base64",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
     "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_key_unpadded",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n\r\n",
     "HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_key_twice", T_WS_WITH("Sec-WebSocket-Key: " T_KEY), "HTTP/1.1 400 ", T_NONE,
     T_EITHER},
    // Section 4.4 of RFC 6455: another version is answered with the one spoken here.
    {"upgrade_version_8",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Key: " T_KEY
     "\r\nSec-WebSocket-Version: 8\r\n\r\n",
     "HTTP/1.1 426 ", T_NONE, T_EITHER},
    {"upgrade_version_13_8",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Key: " T_KEY
     "\r\nSec-WebSocket-Version: 13, 8\r\n\r\n",
     "HTTP/1.1 426 ~HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_version_013",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Key: " T_KEY
     "\r\nSec-WebSocket-Version: 013\r\n\r\n",
     "HTTP/1.1 426 ~HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_version_missing",
     "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Key: " T_KEY "\r\n\r\n",
     "HTTP/1.1 426 ~HTTP/1.1 400 ", T_NONE, T_EITHER},
    {"upgrade_version_twice", T_WS_WITH("Sec-WebSocket-Version: 13"), "HTTP/1.1 400 ~HTTP/1.1 426 ",
     T_NONE, T_EITHER},
    {"upgrade_post", "POST /ws HTTP/1.1\r\n" T_WS_FIELDS "\r\n", "HTTP/1.1 405 |Allow: GET", T_NONE,
     T_EITHER},
    {"upgrade_1_0", "GET /ws HTTP/1.0\r\n" T_WS_FIELDS "\r\n",
     "HTTP/1.1 400 ~HTTP/1.1 426 ~HTTP/1.1 505 |!101", T_NONE, T_CLOSES},
    {"upgrade_with_a_body", T_WS_WITH("Content-Length: 5") "abcde", "HTTP/1.1 413 ~HTTP/1.1 400 ",
     T_NONE, T_CLOSES},
    {"upgrade_on_a_handler", "GET /hello HTTP/1.1\r\n" T_WS_FIELDS "\r\n", T_OK_HELLO,
     "request GET /hello", T_STAYS},
    {"upgrade_protocol", "{WSP /ws chat}", T_101 "|!Protocol: chat.v2", "open /ws chat", T_STAYS},
    {"upgrade_protocol_list", "{WSP /ws x,chat,chat.v2}",
     "HTTP/1.1 101 |Sec-WebSocket-Protocol: ", "open /ws chat", T_STAYS},
    {"upgrade_protocol_unknown", "{WSP /ws nobody}", T_101 "|!Sec-WebSocket-Protocol",
     "open /ws - ", T_STAYS},
    {"upgrade_protocol_prefix", "{WSP /ws cha, chat.v22, rtpush, rtpush.12, rtpush.}",
     T_101 "|!Sec-WebSocket-Protocol", "open /ws - ", T_STAYS},
    {"upgrade_protocol_case", "{WSP /ws CHAT}", T_101 "|!Sec-WebSocket-Protocol", "open /ws - ",
     T_STAYS},
    {"upgrade_protocol_empty", T_WS_WITH("Sec-WebSocket-Protocol:"),
     "HTTP/1.1 101 ~HTTP/1.1 400 |!Sec-WebSocket-Protocol", NULL, T_EITHER},
    {"upgrade_protocol_comma", T_WS_WITH("Sec-WebSocket-Protocol: ,"),
     "HTTP/1.1 101 ~HTTP/1.1 400 |!Sec-WebSocket-Protocol", NULL, T_EITHER},
    {"upgrade_protocol_64",
     T_WS_WITH("Sec-WebSocket-Protocol: {rep 63 ,}a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,chat"),
     "HTTP/1.1 101 |Sec-WebSocket-Protocol: chat\r\n", "open /ws chat", T_STAYS},
    {"upgrade_protocol_4_kilobytes", T_WS_WITH("Sec-WebSocket-Protocol: {rep 4000 p}, chat"),
     "HTTP/1.1 101 ~HTTP/1.1 431 ", NULL, T_EITHER},
    {"upgrade_protocol_32000_spaces", T_WS_WITH("Sec-WebSocket-Protocol: {rep 32000  }chat"),
     "HTTP/1.1 431 ", T_NONE, T_CLOSES},
    {"upgrade_protocol_rtpush", "{WSP /ws rtpush.1}",
     "HTTP/1.1 101 |Sec-WebSocket-Protocol: rtpush.1\r\n| rtpush\nfresh", "open /ws rtpush.1",
     T_STAYS},
    {"upgrade_extension",
     T_WS_WITH("Sec-WebSocket-Extensions: permessage-deflate; "
               "client_max_window_bits=abc, x-y; z=\"q"),
     T_101 "|!Sec-WebSocket-Extensions", "open", T_STAYS},
    {"upgrade_extension_twice",
     T_WS_WITH("Sec-WebSocket-Extensions: a\r\n"
               "Sec-WebSocket-Extensions: b"),
     T_101 "|!Sec-WebSocket-Extensions", "open", T_STAYS},
    {"upgrade_then_a_get", "{WS /ws}{GET /hello}", T_101 "|<88#03ea>~<88#03ea", "!request",
     T_CLOSES},
    {"upgrade_then_a_frame", "{WS /ws}{81:early}", T_101 "|<81:early>", "message 1 5 early",
     T_STAYS},

    // -- frames (RFC 6455 5) --
    {"ws_text", "{WS /ws}{81:hi}", T_101 "|<81:hi>", "open|message 1 2 hi", T_STAYS},
    {"ws_binary", "{WS /ws}{82#00ff00}", T_101 "|<82#00ff00>", "message 2 3", T_STAYS},
    {"ws_empty", "{WS /ws}{81:}{82:}", T_101 "|<81:><82:>", "message 1 0|message 2 0", T_STAYS},
    {"ws_125_126_127", "{WS /ws}{82*125}{82*126}{82*127}", T_101 "|<82*125><82*126><82*127>",
     "message 2 125|message 2 126|message 2 127", T_STAYS},
    {"ws_fragments", "{WS /ws}{01:a}{00:b}{80:c}", T_101 "|<81:abc>", "message 1 3 abc", T_STAYS},
    {"ws_empty_fragments", "{WS /ws}{01:}{00:}{00:}{80:z}{02:}{80:}", T_101 "|<81:z><82:>",
     "message 1 1 z|message 2 0", T_STAYS},
    // RFC 6455 5.4: control frames may stand between fragments.
    {"ws_control_between_fragments", "{WS /ws}{01:a}{89:p}{00:b}{8a:q}{80:c}",
     T_101 "|<8a:p>|<81:abc>", "message 1 3 abc", T_STAYS},
    {"ws_ping", "{WS /ws}{89:}{89:payload}{89*125}", T_101 "|<8a:>|<8a:payload>|<8a*125>", NULL,
     T_STAYS},
    {"ws_unasked_pong", "{WS /ws}{8a:x}{81:on}", T_101 "|!<8a:x>|<81:on>", NULL, T_STAYS},
    {"ws_largest", "{WS /ws}{82*387}", T_101 "|<82*387>", "message 2 387", T_STAYS},
    {"ws_largest_in_fragments", "{WS /ws}{02*300}{00*80}{80*7}", T_101 "|<82*387>", "message 2 387",
     T_STAYS},
    {"ws_too_big", "{WS /ws}{82*388}", T_101 "|<88#03f1", "!message|close WS_TOO_BIG", T_CLOSES},
    {"ws_too_big_with_the_last_fragment", "{WS /ws}{02*300}{00*80}{80*8}", T_101 "|<88#03f1",
     "!message|close WS_TOO_BIG", T_CLOSES},
    {"ws_unmasked", "{WS /ws}<81:hi>", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_rsv1", "{WS /ws}{c1:hi}", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_rsv2", "{WS /ws}{a1:hi}", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_rsv3", "{WS /ws}{91:hi}", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_opcode_3", "{WS /ws}{83:hi}", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_opcode_7", "{WS /ws}{87:hi}", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_opcode_11", "{WS /ws}{8b:hi}", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_opcode_15", "{WS /ws}{8f:hi}", T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    // RFC 6455 5.2: the minimal number of bytes MUST be used.
    {"ws_length_16_not_minimal", "{WS /ws}{hex 82fe000500000000}xxxxx", T_101 "|<88#03ea",
     "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_length_16_is_125", "{WS /ws}{hex 82fe007d00000000}{rep 125 x}", T_101 "|<88#03ea",
     "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_length_64_not_minimal", "{WS /ws}{hex 82ff000000000000000500000000}xxxxx",
     T_101 "|<88#03ea", "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_length_64_is_65535", "{WS /ws}{hex 82ff000000000000ffff00000000}xxxxx", T_101 "|<88#03ea",
     "!message|close WS_PROTOCOL", T_CLOSES},
    // RFC 6455 5.2: the most significant bit MUST be 0.
    {"ws_length_bit_63", "{WS /ws}{hex 82ff800000000000000100000000}x", T_101 "|<88#03ea",
     "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_length_65536", "{WS /ws}{hex 82ff000000000001000000000000}x", T_101 "|<88#03f1",
     "!message|close WS_TOO_BIG", T_CLOSES},
    // RFC 6455 5.2: the first bit alone is no length; this one is only too long.
    {"ws_length_largest", "{WS /ws}{hex 82ff7fffffffffffffff00000000}x", T_101 "|<88#03f1",
     "!message|close WS_TOO_BIG", T_CLOSES},
    {"ws_length_2_32", "{WS /ws}{hex 82ff000000010000000000000000}x", T_101 "|<88#03f1",
     "!message|close WS_TOO_BIG", T_CLOSES},
    {"ws_length_2_32_and_4", "{WS /ws}{hex 82ff000000010000000400000000}xxxx", T_101 "|<88#03f1",
     "!message|close WS_TOO_BIG", T_CLOSES},
    {"ws_control_fragmented", "{WS /ws}{09:x}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_control_126", "{WS /ws}{89*126}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_control_64_bit_length", "{WS /ws}{hex 89ff000000000000000000000000}", T_101 "|<88#03ea",
     "close WS_PROTOCOL", T_CLOSES},
    {"ws_continuation_of_nothing", "{WS /ws}{80:x}", T_101 "|<88#03ea",
     "!message|close WS_PROTOCOL", T_CLOSES},
    {"ws_continuation_after_the_end", "{WS /ws}{01:a}{80:b}{80:c}", T_101 "|<81:ab>|<88#03ea",
     "message 1 2 ab|close WS_PROTOCOL", T_CLOSES},
    {"ws_message_inside_a_message", "{WS /ws}{01:a}{81:b}", T_101 "|<88#03ea",
     "!message|close WS_PROTOCOL", T_CLOSES},
    // RFC 6455 8.1: text must be UTF-8, found as early as it can be.
    {"ws_utf8_ok", "{WS /ws}{81:\xCE\xBA\xF0\x9F\x98\x80\xEF\xBF\xBD}",
     T_101 "|<81:\xCE\xBA\xF0\x9F\x98\x80\xEF\xBF\xBD>", "message 1 9 ", T_STAYS},
    {"ws_utf8_over_fragments", "{WS /ws}{01#f09f}{89:p}{00#98}{80#80}",
     T_101 "|<8a:p>|<81#f09f9880>", "message 1 4 ", T_STAYS},
    {"ws_utf8_overlong", "{WS /ws}{81#c0af}", T_101 "|<88#03ef", "!message|close WS_UTF8",
     T_CLOSES},
    {"ws_utf8_overlong_3", "{WS /ws}{81#e08080}", T_101 "|<88#03ef", "!message|close WS_UTF8",
     T_CLOSES},
    {"ws_utf8_surrogate", "{WS /ws}{81#eda080}", T_101 "|<88#03ef", "!message|close WS_UTF8",
     T_CLOSES},
    {"ws_utf8_too_high", "{WS /ws}{81#f4908080}", T_101 "|<88#03ef", "!message|close WS_UTF8",
     T_CLOSES},
    {"ws_utf8_f5", "{WS /ws}{81#f5808080}", T_101 "|<88#03ef", "!message|close WS_UTF8", T_CLOSES},
    {"ws_utf8_stray_continuation", "{WS /ws}{81#80}", T_101 "|<88#03ef", "!message|close WS_UTF8",
     T_CLOSES},
    {"ws_utf8_cut_at_the_end", "{WS /ws}{81#41e282}", T_101 "|<88#03ef", "!message|close WS_UTF8",
     T_CLOSES},
    {"ws_utf8_cut_at_the_last_fragment", "{WS /ws}{01#e2}{80#82}", T_101 "|<88#03ef",
     "!message|close WS_UTF8", T_CLOSES},
    {"ws_utf8_bad_over_fragments", "{WS /ws}{01#e2}{00#41}", T_101 "|<88#03ef",
     "!message|close WS_UTF8", T_CLOSES},
    // Fail fast: the frame is not complete, the bytes are already wrong.
    {"ws_utf8_fails_before_the_frame_ends", "{WS /ws}{hex 81e400000000}\xF4\x90", T_101 "|<88#03ef",
     "!message|close WS_UTF8", T_CLOSES},
    {"ws_binary_need_not_be_utf8", "{WS /ws}{02#e2}{80#41}", T_101 "|<82#e241>", "message 2 2",
     T_STAYS},

    // -- Close (RFC 6455 5.5.1, 7.4) --
    {"ws_close", "{WS /ws}{88#03e8}", T_101 "|<88#03e8>", "close NONE 1000", T_CLOSES},
    {"ws_close_empty", "{WS /ws}{88:}", T_101 "|<88:>~<88#03e8>", "close NONE 1005", T_CLOSES},
    {"ws_close_reason", "{WS /ws}{88#03e9627965}", T_101 "|<88#03e9", "close NONE 1001 bye",
     T_CLOSES},
    {"ws_close_1003", "{WS /ws}{88#03eb}", T_101 "|<88#03eb", "close NONE 1003", T_CLOSES},
    {"ws_close_1007", "{WS /ws}{88#03ef}", T_101 "|<88#03ef", "close NONE 1007", T_CLOSES},
    {"ws_close_1014", "{WS /ws}{88#03f6}", T_101 "|<88#03f6", "close NONE 1014", T_CLOSES},
    {"ws_close_3000", "{WS /ws}{88#0bb8}", T_101 "|<88#0bb8", "close NONE 3000", T_CLOSES},
    {"ws_close_4999", "{WS /ws}{88#1387}", T_101 "|<88#1387", "close NONE 4999", T_CLOSES},
    {"ws_close_one_byte", "{WS /ws}{88#03}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_0", "{WS /ws}{88#0000}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_999", "{WS /ws}{88#03e7}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_1004", "{WS /ws}{88#03ec}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_1005", "{WS /ws}{88#03ed}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_1006", "{WS /ws}{88#03ee}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_1015", "{WS /ws}{88#03f7}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_1016", "{WS /ws}{88#03f8}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_2999", "{WS /ws}{88#0bb7}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_5000", "{WS /ws}{88#1388}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_65535", "{WS /ws}{88#ffff}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_too_long", "{WS /ws}{88*126}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_close_bad_utf8", "{WS /ws}{88#03e8c3}", T_101 "|<88#03ef~<88#03ea", "!message", T_CLOSES},
    {"ws_close_fragmented", "{WS /ws}{08#03e8}", T_101 "|<88#03ea", "close WS_PROTOCOL", T_CLOSES},
    {"ws_data_after_close", "{WS /ws}{88#03e8}{81:late}{89:late}", T_101 "|<88#03e8>|!late",
     "close NONE 1000|!message", T_CLOSES},
    {"ws_close_between_fragments", "{WS /ws}{01:a}{88#03e8}{80:b}", T_101 "|<88#03e8>",
     "close NONE 1000|!message", T_CLOSES},

    // -- pieces --
    {"ws_pieces", "{WS /stream}{82*3000}{81:ok}", T_101, "message 2 3000 sum |message 1 2 sum ",
     T_STAYS},
    {"ws_pieces_in_fragments", "{WS /stream}{02*1000}{89:p}{00*600}{80*9}", T_101 "|<8a:p>",
     "message 2 1609 sum ", T_STAYS},
    {"ws_pieces_empty", "{WS /stream}{81:}{01:}{80:}", T_101, "message 1 0 |message 1 0 ", T_STAYS},
    {"ws_pieces_text", "{WS /stream}{01:\xF0\x9F}{00:\x98}{80:\x80}", T_101, "message 1 4 sum ",
     T_STAYS},
    {"ws_pieces_bad_text", "{WS /stream}{01:abc}{00#ff}", T_101 "|<88#03ef", "close WS_UTF8",
     T_CLOSES},
    {"ws_pieces_cut_text", "{WS /stream}{01:abc}{80#e282}", T_101 "|<88#03ef", "close WS_UTF8",
     T_CLOSES},

    // -- event streams --
    {"events", "{GET /events}",
     "HTTP/1.1 200 |text/event-stream|\r\n\r\n|event: rtpush\n|data: fresh 5\n|\n",
     "open /events - topics=f", T_STAYS},
    {"events_id", "{GET /events}", "id: 00c0ffee-~id: 00C0FFEE-", NULL, T_STAYS},
    {"events_topics", "{GET /events?topics=log,led}", "HTTP/1.1 200 |data: fresh",
     "open /events - topics=9", T_STAYS},
    {"events_topic_unknown", "{GET /events?topics=nope}", "HTTP/1.1 404 ~HTTP/1.1 403 ", T_NONE,
     T_EITHER},
    {"events_resume_malformed",
     "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: something\r\n\r\n",
     "HTTP/1.1 200 |data: reset 5\n", "open", T_STAYS},
    {"events_resume_other_epoch",
     "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: 00abcdef-00000001\r\n\r\n",
     "HTTP/1.1 200 |data: reset 5\n", "open", T_STAYS},
    {"events_resume_future",
     "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: 00c0ffee-00100000\r\n\r\n",
     "HTTP/1.1 200 |data: reset 5\n", "open", T_STAYS},
    {"events_resume_negative", "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: -1\r\n\r\n",
     "HTTP/1.1 200 |data: reset 5\n", "open", T_STAYS},
    {"events_resume_2_64",
     "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: 18446744073709551616\r\n\r\n",
     "HTTP/1.1 200 |data: reset 5\n", "open", T_STAYS},
    {"events_resume_long_tail",
     "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: 00c0ffee-000000000\r\n\r\n",
     "HTTP/1.1 200 |data: reset 5\n", "open", T_STAYS},
    {"events_resume_empty", "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID:\r\n\r\n",
     "HTTP/1.1 200 |data: reset 5\n~data: fresh 5\n", "open", T_STAYS},
    {"events_resume_nul", "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: a{hex 00}\r\n\r\n",
     T_400, T_NONE, T_CLOSES},
    {"events_resume_10_kilobytes",
     "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: {rep 10000 f}\r\n\r\n",
     "data: reset 5\n~HTTP/1.1 431 ", NULL, T_EITHER},
    {"events_resume_query_malformed", "{GET /events?last_event_id=zz}",
     "HTTP/1.1 200 |data: reset 5\n", "open", T_STAYS},
    {"events_foreign_origin",
     "GET /events HTTP/1.1\r\n" T_HOST "Origin: http://evil.example\r\n\r\n", "HTTP/1.1 403 ",
     T_NONE, T_EITHER},
    {"events_post", "POST /events HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\n\r\n",
     "HTTP/1.1 405 |Allow: GET", T_NONE, T_EITHER},
    {"events_1_0", "GET /events HTTP/1.0\r\n\r\n", "HTTP/1.1 200 |!chunked|data: fresh", "open",
     T_STAYS},
    {"poll_foreign_origin", "GET /poll HTTP/1.1\r\n" T_HOST "Origin: http://evil.example\r\n\r\n",
     "HTTP/1.1 403 ", T_NONE, T_EITHER},
};

enum { T_SCRIPT_COUNT = sizeof t_scripts / sizeof t_scripts[0] };

// -- running them ---------------------------------------------------------------------------------

typedef struct t_run_result {
    t_buf out;
    t_buf events;
    int ended;
    size_t in_left;
} t_run_result;

static void t_result_free(t_run_result *r) {
    t_buf_free(&r->out);
    t_buf_free(&r->events);
}

typedef struct t_how {
    int in_mode;
    size_t split_at;
    size_t bite;
    int spans;
    int late_acks;
    int decide; // T_NOW ...
    int input_const; // the transport's input must not be written to
} t_how;

static t_run_result t_run_script(const t_buf *in, t_how how) {
    t_run_result r;
    t_world *w = t_fixture();
    memset(&r, 0, sizeof r);
    w->in_mode = how.in_mode;
    w->split_at = how.split_at;
    w->bite = how.bite;
    w->max_spans = how.spans;
    w->input_const = how.input_const;
    t_app_of(w)->decide = how.decide;
    t_start(w);
    t_conn *c = t_connect(w);
    c->hold_acks = how.late_acks;
    t_feed(c, in->data, in->len);
    (void)t_decide(w);
    for (int round = 0; how.late_acks && c->unacked > 0 && round < 100000; round++) {
        t_ack(c, 1 + (size_t)round * 7);
        t_serve(c);
        t_run_ready(w);
    }
    r.out = c->out;
    memset(&c->out, 0, sizeof c->out);
    t_put(&r.out, "", 0);
    r.events = w->events;
    memset(&w->events, 0, sizeof w->events);
    t_put(&r.events, "", 0);
    r.ended = t_ended(c);
    r.in_left = c->in.len;
    t_finish(w);
    return r;
}

static void t_same_result(const char *how, size_t at, const t_run_result *a,
                          const t_run_result *b) {
    if (a->out.len != b->out.len || memcmp(a->out.data, b->out.data, a->out.len) != 0) {
        fprintf(stderr, "whole:\n");
        t_show(a->out.data, a->out.len);
        fprintf(stderr, "%s %lu:\n", how, (unsigned long)at);
        t_show(b->out.data, b->out.len);
        T_FAIL("output differs with %s %lu", how, (unsigned long)at);
    }
    if (strcmp(t_text(&a->events), t_text(&b->events)) != 0) {
        fprintf(stderr, "whole:\n%s\n%s %lu:\n%s\n", t_text(&a->events), how, (unsigned long)at,
                t_text(&b->events));
        T_FAIL("events differ with %s %lu", how, (unsigned long)at);
    }
    T_CHECK(a->ended == b->ended, "the end differs with %s %lu", how, (unsigned long)at);
}

// Where chunks end depends on the pace of the reader; what is in them must not.
static void t_decode_answer(t_client *cl) {
    t_buf *all = (t_buf *)cl->user;
    t_put(all, cl->head.data, cl->head.len);
    t_put(all, cl->body.data, cl->body.len);
}

static void t_decode(t_buf *out) {
    t_client cl;
    t_buf all = {0};
    if (t_find(out->data, out->len, (const uint8_t *)"chunked", 7) == NULL) {
        return;
    }
    memset(&cl, 0, sizeof cl);
    cl.user = &all;
    cl.on_answer = t_decode_answer;
    for (size_t i = 0; i < out->len; i++) {
        t_client_byte(&cl, out->data[i]);
    }
    T_CHECK(cl.step == T_CL_HEAD, "the last answer is cut");
    t_client_free(&cl);
    t_buf_free(out);
    *out = all;
}

static void t_compare(const t_buf *in, const t_run_result *whole, const char *name, t_how how) {
    t_run_result other = t_run_script(in, how);
    if ((how.bite || how.late_acks) && memcmp(in->data, "HEAD", 4) != 0) {
        t_run_result decoded = *whole;
        memset(&decoded.out, 0, sizeof decoded.out);
        t_put(&decoded.out, whole->out.data, whole->out.len);
        t_decode(&decoded.out);
        t_decode(&other.out);
        t_same_result(name, how.split_at, &decoded, &other);
        t_buf_free(&decoded.out);
    } else {
        t_same_result(name, how.split_at, whole, &other);
    }
    t_result_free(&other);
}

static void t_script_whole(const t_script *s, const t_buf *in, t_run_result *whole) {
    t_how plain = {T_WHOLE, 0, 0, 0, 0, T_NOW, 0};
    *whole = t_run_script(in, plain);
    const char *failed = t_match(whole->out.data, whole->out.len, s->out);
    if (failed != NULL) {
        fprintf(stderr, "expected %s, seen:\n", failed);
        t_show(whole->out.data, whole->out.len);
        T_FAIL("output differs");
    }
    failed = s->events ? t_match(whole->events.data, whole->events.len, s->events) : NULL;
    if (failed != NULL) {
        fprintf(stderr, "expected event %s, seen:\n%s", failed, t_text(&whole->events));
        T_FAIL("events differ");
    }
    T_CHECK(s->end == T_EITHER || whole->ended == (s->end == T_CLOSES),
            "the server %s the connection", whole->ended ? "closed" : "kept");
    T_CHECK(whole->in_left == 0, "%lu bytes were not taken", (unsigned long)whole->in_left);
}

// A transcript is split and cut at each t_stride-th place: 1 but where the machine is slow.
static size_t t_stride = 1;

// Invariant 12: untaken input comes back identical; every split gives the same events and bytes.
static void t_script_splits(const t_buf *in, const t_run_result *whole) {
    size_t step = in->len > 700 ? in->len / 100 : t_stride;
    for (size_t at = 1; at < in->len; at += step) {
        t_how split = {T_SPLIT, 0, 0, 0, 0, T_NOW, 0};
        split.split_at = at;
        t_compare(in, whole, "a split at", split);
    }
    t_how bytes = {T_BYTES, 0, 0, 0, 0, T_NOW, 0};
    t_compare(in, whole, "single bytes", bytes);
    t_how copied = {T_WHOLE, 0, 0, 0, 0, T_NOW, 1};
    t_compare(in, whole, "input that is not written to", copied);
    t_how bite = {T_WHOLE, 0, 1, 1, 0, T_NOW, 0};
    t_compare(in, whole, "output in single bytes", bite);
    t_how late = {T_WHOLE, 0, 0, 2, 1, T_NOW, 0};
    t_compare(in, whole, "late acknowledgements", late);
    t_how all = {T_BYTES, 0, 3, 1, 1, T_NOW, 0};
    t_compare(in, whole, "all of it", all);
    for (int decide = T_INSIDE; decide <= T_LATER; decide++) {
        t_how later = {T_WHOLE, 0, 0, 0, 0, decide, 0};
        t_compare(in, whole, "a decision of its own", later);
        later.in_mode = T_BYTES;
        t_compare(in, whole, "a decision of its own, single bytes", later);
    }
}

// A request before it must not matter; a request behind an answer that closes must not be read.
static void t_script_neighbours(const t_buf *in, const t_run_result *whole) {
    t_how plain = {T_WHOLE, 0, 0, 0, 0, T_NOW, 0};
    t_buf both = {0};
    t_expand(&both, "{GET /hello}");
    t_run_result hello = t_run_script(&both, plain);
    t_put(&both, in->data, in->len);
    t_run_result second = t_run_script(&both, plain);
    T_CHECK(second.out.len == hello.out.len + whole->out.len &&
                memcmp(second.out.data + hello.out.len, whole->out.data, whole->out.len) == 0,
            "the answer is another one behind a request");
    t_result_free(&second);
    t_result_free(&hello);
    if (whole->ended) {
        both.len = 0;
        t_put(&both, in->data, in->len);
        t_expand(&both, "{GET /hello}{88#03e8}");
        t_run_result after = t_run_script(&both, plain);
        t_same_result("a request behind it", 0, whole, &after);
        t_result_free(&after);
    }
    t_buf_free(&both);
}

enum { T_CUT, T_CUT_OUT, T_SILENCE, T_HALF };

static void t_cut_once(const t_buf *in, int kind, size_t at) {
    t_world *w = t_fixture();
    t_start(w);
    t_conn *c = t_connect(w);
    if (kind == T_CUT_OUT) {
        c->window = at;
        c->hold_acks = 1;
        t_feed(c, in->data, in->len);
    } else {
        t_feed(c, in->data, at);
    }
    if (kind == T_SILENCE || kind == T_HALF) {
        c->eof_wanted = kind == T_HALF;
        if (kind == T_HALF) {
            t_eof(c);
        } else {
            c->manual_close = 1; // the peer says nothing, for ever
        }
        t_advance(w, kind == T_HALF ? 5000 : 70000);
        const rtpush_counters *count = rtpush_get_counters(&w->srv);
        T_CHECK(c->conn == NULL || count->streams > 0 ||
                    (kind == T_HALF && t_life_find(w, t_app_of(w)->last) != NULL),
                "a connection without a stream lives on after %s at byte %lu",
                kind == T_HALF ? "EOF" : "silence", (unsigned long)at);
        if (kind == T_SILENCE && count->streams > 0) { // invariant 17: a dead reader goes too
            c->window = 0;
        }
    }
    t_finish(w);
}

static void t_script_power_cut(const t_buf *in, const t_run_result *whole) {
    size_t step = in->len > 700 ? in->len / 50 : t_stride;
    for (size_t at = 0; at <= in->len; at += step) {
        t_cut_once(in, T_CUT, at);
        t_cut_once(in, T_HALF, at);
    }
    step = whole->out.len > 700 ? whole->out.len / 50 : t_stride;
    for (size_t at = 0; at <= whole->out.len; at += step) {
        t_cut_once(in, T_CUT_OUT, at);
    }
    step = in->len > 40 ? in->len / 5 : 8;
    for (size_t at = 0; at <= in->len; at += step) {
        t_cut_once(in, T_SILENCE, at);
    }
    t_cut_once(in, T_SILENCE, in->len);
}

static void t_script_all(const t_script *s) {
    t_buf in = {0};
    t_run_result whole;
    snprintf(t_where, sizeof t_where, "transcript %s", s->name);
    t_expand(&in, s->in);
    t_script_whole(s, &in, &whole);
    t_script_splits(&in, &whole);
    t_script_neighbours(&in, &whole);
    t_script_power_cut(&in, &whole);
    t_result_free(&whole);
    t_buf_free(&in);
    t_where[0] = 0;
}

#endif // T_TRANSCRIPTS_H
