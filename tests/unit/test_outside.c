// RTPUSH_GATEWAY: ids come from outside, clients move between servers that are fed from one source.
#define RTPUSH_GATEWAY
#define U_INSIDE
#include "unit.h"

static rtpush_id id_of(uint32_t epoch, uint32_t seq) {
    rtpush_id id = {epoch, seq};
    return id;
}

static t_world *world(uint32_t seed) {
    t_world *w = t_fixture();
    w->outside = 1;
    w->desc.seed = seed;
    w->desc.conn_count = 6;
    return w;
}

static t_world *begin(uint32_t seed) {
    t_world *w = world(seed);
    t_start(w);
    return w;
}

static int put(t_world *w, unsigned topic, uint32_t epoch, uint32_t seq, uint32_t lost,
               const char *text) {
    t_enter(w, T_IN_PUBLISH, NULL);
    int result = rtpush_publish_id(&w->srv, topic, id_of(epoch, seq), lost, text, strlen(text));
    t_leave(w);
    return result;
}

static int move(t_world *w, uint32_t epoch, uint32_t seq, uint32_t lost) {
    t_enter(w, T_IN_PUBLISH, NULL);
    int result = rtpush_advance(&w->srv, id_of(epoch, seq), lost);
    t_leave(w);
    return result;
}

static u_peer *resume(t_world *w, const char *path, const char *id) {
    char text[200];
    snprintf(text, sizeof text, "{GET %s%slast_event_id=%s}", path, strchr(path, '?') ? "&" : "?",
             id);
    return u_open(w, text);
}

#define EP 0x65000000u

// -- what is published ----------------------------------------------------------------------------

static void outside_ids_are_those_given(U_STATE) {
    t_world *w = begin(1);
    u_peer *p = u_open(w, "{GET /events}");
    T_EQ(rtpush_last_id(&w->srv).epoch, 0);
    T_EQ(rtpush_last_id(&w->srv).seq, 0);
    T_EQ(put(w, T_LOG, EP, 7, 0, "seven"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 1000000, 0, "million"), RTPUSH_OK); // a jump is no loss
    t_run(w);
    u_expect(p, "rtpush: fresh 5\n|rtpush: reset 5\n|log: seven\nlog: million\n");
    assert_string_equal(p->last_id, "65000000-000f4240");
    T_EQ(rtpush_last_id(&w->srv).seq, 1000000);
    T_EQ(put(w, T_LOG, EP, RTPUSH_SEQ_MAX, 0, "last"), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: last\n");
    assert_string_equal(p->last_id, "65000000-fffffffe");
    T_EQ(put(w, T_LOG, EP + 1, 1, 0, "next"), RTPUSH_OK);
    t_run(w);
    u_is(p, "rtpush: reset 5\nlog: next\n");
}

static void outside_duplicate_is_refused_and_changes_nothing(U_STATE) {
    t_world *w = begin(1);
    u_peer *p = u_open(w, "{GET /events}");
    T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
    t_run(w);
    u_clear(p);
    T_EQ(put(w, T_LOG, EP, 5, 0, "again"), RTPUSH_ERR_OLD);
    T_EQ(put(w, T_LOG, EP, 4, 0, "older"), RTPUSH_ERR_OLD);
    T_EQ(move(w, EP, 5, 0), RTPUSH_ERR_OLD);
    T_EQ(move(w, EP, 0, 0), RTPUSH_ERR_OLD);
    assert_string_not_equal(rtpush_strerror(RTPUSH_ERR_OLD), "");
    t_run(w);
    u_is(p, "");
    T_EQ(put(w, T_LOG, EP, 6, 0, "six"), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: six\n");
    T_EQ(rtpush_get_counters(&w->srv)->published, 2);
}

static void outside_loss_is_told_at_its_place(U_STATE) {
    t_world *w = begin(1);
    T_EQ(move(w, EP, 0, 0), RTPUSH_OK); // nothing is before
    T_EQ(put(w, T_LOG, EP, 1, 0, "one"), RTPUSH_OK);
    t_run(w);
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(put(w, T_LOG, EP, 10, 3, "ten"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 11, 0, "eleven"), RTPUSH_OK);
    T_EQ(move(w, EP, 12, 1), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 13, 0, "thirteen"), RTPUSH_OK);
    t_run(w);
    u_is(p, "rtpush: gap 3 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\nlog: thirteen\n");
    T_EQ(t_app_of(w)->missed, 4);
    u_peer *later = resume(w, "/events", "65000000-00000001"); // who comes from before
    u_is(later, "rtpush: gap 3 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\nlog: thirteen\n");
    u_peer *inside = resume(w, "/events", "65000000-00000005");
    u_is(inside, "rtpush: gap 3 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\nlog: thirteen\n");
    u_peer *told = resume(w, "/events", "65000000-00000009"); // the id of that notice
    u_is(told, "rtpush: replayed 4 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\n"
               "log: thirteen\n");
}

static const rtpush_id strange[] = {{0, 1}, {EP, 0xFFFFFFFFu}, {EP, 0}};

static void outside_bad_arguments_change_nothing(U_STATE) {
    t_world *w = begin(1);
    for (size_t i = 0; i < 3; i++) {
        T_EQ(put(w, T_LOG, strange[i].epoch, strange[i].seq, 0, "x"), RTPUSH_ERR_ARGUMENT);
        if (strange[i].seq > 0) {
            T_EQ(move(w, strange[i].epoch, strange[i].seq, 0), RTPUSH_ERR_ARGUMENT);
        }
    }
    T_EQ(put(w, 4, EP, 1, 0, "x"), RTPUSH_ERR_ARGUMENT);
    T_EQ(put(w, T_LOG, EP, 5, 5, "x"), RTPUSH_ERR_ARGUMENT); // 1 to 4 are four
    T_EQ(move(w, EP, 5, 6), RTPUSH_ERR_ARGUMENT);
    T_EQ(put(w, T_LOG, EP, 1, 0, "\xFF"), RTPUSH_ERR_UTF8);
    T_EQ(put(w, T_TEMP, EP, 1, 0, "12345678901234567890123456789012345678901"),
         RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_last_id(&w->srv).epoch, 0);
    T_EQ(rtpush_get_counters(&w->srv)->log_used, 0);
    T_EQ(put(w, T_LOG, EP, 5, 4, "x"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 7, 2, "x"), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_last_id(&w->srv).seq, 5);
}

static void outside_server_has_no_numbers_of_its_own(U_STATE) {
    t_world *w = begin(1);
    T_EQ(t_publish_text(w, T_LOG, "x"), RTPUSH_ERR_STATE);
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "x", 1), RTPUSH_ERR_STATE);
    T_EQ(rtpush_try_publish_from(&w->srv, T_LOG, "x", 1), RTPUSH_ERR_STATE);
    assert_null(rtpush_reserve(&w->srv, T_LOG, 1));
    T_EQ(t_publish_text(w, T_TEMP, "21"), RTPUSH_OK);
    u_peer *p = u_open(w, "{GET /events}");
    u_expect(p, "temp: 21\n");
    t_world *own = t_begin();
    T_EQ(put(own, T_LOG, EP, 1, 0, "x"), RTPUSH_ERR_STATE);
    T_EQ(move(own, EP, 1, 0), RTPUSH_ERR_STATE);
    T_EQ(rtpush_waiting(&own->srv), 0);
}

static void outside_needs_a_seed(U_STATE) {
    t_world *w = world(0);
    T_EQ(t_init(w), RTPUSH_ERR_CONFIG);
    assert_string_equal(rtpush_config_error(&w->srv), "seed: at least 1 needed, 0 given");
    w->desc.seed = 1;
    t_start(w);
}

// -- an id in front of the head -------------------------------------------------------------------

// What a reader of each transport sees: name and data alone.
static const char *const paths[] = {"/events", "/ws", "/poll?timeout=20"};

static u_peer *resume_by(t_world *w, int transport, const char *id) {
    char text[200];
    if (transport != 1) {
        return resume(w, paths[transport], id);
    }
    snprintf(text, sizeof text, "{WSP /ws?last_event_id=%s rtpush.1}", id);
    u_peer *p = u_open(w, text);
    T_EQ(p->cl.status, 101);
    t_eat(&p->seen, 5); // "101 LF"
    return p;
}

static void outside_id_in_front_of_the_head_waits(U_STATE) {
    for (int transport = 0; transport < 3; transport++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
        if (transport < 2) { // a poll that may go on would be answered with it
            T_EQ(t_publish_text(w, T_TEMP, "21"), RTPUSH_OK);
        }
        t_run(w);
        T_EQ(rtpush_waiting(&w->srv), 0);
        u_peer *p = resume_by(w, transport, "65000000-00000009");
        T_CHECK(rtpush_waiting(&w->srv) != 0, "nobody waits");
        t_advance(w, 12000);
        u_is(p, ""); // no notice, no value
        assert_string_equal(p->last_id, "");
        T_EQ(put(w, T_LOG, EP, 8, 0, "eight"), RTPUSH_OK);
        t_run(w);
        u_is(p, "");
        T_EQ(put(w, T_LOG, EP, 9, 0, "nine"), RTPUSH_OK); // it has this
        t_run(w);
        T_EQ(rtpush_waiting(&w->srv), 0);
        if (transport < 2) {
            u_expect(p, "rtpush~1 65000000-00000009 rtpush|replayed 0 5\n|21\n|!eight|!nine");
        }
        T_EQ(put(w, T_LOG, EP, 10, 0, "ten"), RTPUSH_OK);
        t_run(w);
        u_expect(p, "ten\n|!eight|!nine|!reset");
        T_CHECK(strncmp(p->last_id, "65000000-0000000a", 17) == 0, "%s", p->last_id);
    }
}

static void outside_keep_alive_of_one_that_waits_has_no_id(U_STATE) {
    for (int transport = 0; transport < 2; transport++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
        u_peer *p = resume_by(w, transport, "65000000-00000009");
        u_clear(p);
        t_advance(w, 16000);
        u_read(p);
        T_EQ(p->alive, 3);
        T_EQ(p->ids, 0);
    }
}

static void outside_other_epoch_waits_for_its_begin(U_STATE) {
    for (int transport = 0; transport < 3; transport++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 50, 0, "fifty"), RTPUSH_OK);
        u_peer *p = resume_by(w, transport, "65000001-00000002");
        u_peer *old = u_stream(w, "{GET /events}");
        t_advance(w, 1000);
        u_is(p, "");
        T_EQ(put(w, T_LOG, EP + 1, 1, 0, "one"), RTPUSH_OK);
        t_run(w);
        u_is(p, "");
        u_is(old, "rtpush: reset 5\nlog: one\n");
        T_EQ(put(w, T_LOG, EP + 1, 2, 0, "two"), RTPUSH_OK);
        T_EQ(put(w, T_LOG, EP + 1, 3, 0, "three"), RTPUSH_OK);
        t_run(w);
        u_expect(p, "three\n|!reset|!one|!two");
    }
}

static void outside_poll_that_waits_ends_with_the_id_it_came_with(U_STATE) {
    static const char *const ids[] = {"65000000-00000009", "65000000-00000009-00000000-00000001",
                                      "65000007-00000001", "65000000-00000002-00000009"};
    for (size_t i = 0; i < 4; i++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
        u_peer *p = resume_by(w, 2, ids[i]);
        t_advance(w, 21000);
        u_read(p);
        T_EQ(p->cl.answers, 1);
        T_EQ(p->events, 0);
        T_CHECK(strncmp(p->last_id, ids[i], strlen(ids[i])) == 0, "%s became %s", ids[i],
                p->last_id);
    }
}

static void outside_end_of_the_source_resets_who_is_in_front(U_STATE) {
    static const char *const ids[] = {"65000000-00000009", "65000000-0000000a",
                                      "65000001-00000001", "64000000-00000001"};
    t_world *w = begin(1);
    u_peer *p[4];
    T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
    for (int i = 0; i < 4; i++) {
        p[i] = resume_by(w, 0, ids[i]);
    }
    uint32_t mark = rtpush_waiting(&w->srv);
    u_peer *late = resume_by(w, 0, ids[1]); // after the question
    T_EQ(rtpush_source_end(&w->srv, mark, id_of(EP, 9)), 3);
    t_run(w);
    u_is(p[0], "");
    for (int i = 1; i < 4; i++) {
        u_is(p[i], "rtpush: reset 5\n");
        assert_string_equal(p[i]->last_id, "65000000-00000005");
    }
    u_is(late, "");
    T_EQ(rtpush_source_end(&w->srv, rtpush_waiting(&w->srv), id_of(EP, 9)), 1);
    T_EQ(put(w, T_LOG, EP, 9, 0, "nine"), RTPUSH_OK);
    t_run(w);
    u_is(p[0], "rtpush: replayed 0 5\n");
    u_is(late, "rtpush: reset 5\nlog: nine\n");
    T_EQ(rtpush_waiting(&w->srv), 0);
    T_EQ(rtpush_source_end(&w->srv, rtpush_waiting(&w->srv), id_of(EP, 1)), 0);
}

static void outside_server_without_a_position_keeps_clients_waiting(U_STATE) {
    t_world *w = begin(1);
    u_peer *p = resume_by(w, 0, "65000000-00000003");
    u_peer *odd = resume_by(w, 0, "65000000-ffffffff"); // no source gives this
    u_is(p, "");
    u_is(odd, "rtpush: reset 5\n");
    T_EQ(put(w, T_LOG, EP, 2, 0, "two"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 3, 0, "three"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 4, 0, "four"), RTPUSH_OK);
    t_run(w);
    u_is(p, "rtpush: replayed 0 5\nlog: four\n");
    u_is(odd, "rtpush: reset 5\nlog: two\nlog: three\nlog: four\n");
    u_peer *none = resume_by(w, 0, "00000000-00000000"); // no server had begun
    u_is(none, "rtpush: reset 5\n");
    u_peer *before = resume_by(w, 0, "65000000-00000000"); // 1 is not here
    u_is(before, "rtpush: gap 1 5\nlog: two\nlog: three\nlog: four\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(outside_ids_are_those_given),
        u_test(outside_duplicate_is_refused_and_changes_nothing),
        u_test(outside_loss_is_told_at_its_place),
        u_test(outside_bad_arguments_change_nothing),
        u_test(outside_server_has_no_numbers_of_its_own),
        u_test(outside_needs_a_seed),
        u_test(outside_id_in_front_of_the_head_waits),
        u_test(outside_keep_alive_of_one_that_waits_has_no_id),
        u_test(outside_other_epoch_waits_for_its_begin),
        u_test(outside_poll_that_waits_ends_with_the_id_it_came_with),
        u_test(outside_end_of_the_source_resets_who_is_in_front),
        u_test(outside_server_without_a_position_keeps_clients_waiting),
    };
    return cmocka_run_group_tests_name("outside", tests, NULL, NULL);
}
