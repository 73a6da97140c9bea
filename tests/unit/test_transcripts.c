// Every conversation of transcripts.h as a test of its own.
#include "unit.h"

#include "transcripts.h"

static void run_one(void **state) {
    t_script_all((const t_script *)*state);
}

int main(int argc, char **argv) {
    static struct CMUnitTest tests[T_SCRIPT_COUNT];
    t_stride = u_quick() ? 5 : u_part() ? 3 : 1; // cut at every third place
    size_t count = 0;
    for (size_t i = 0; i < T_SCRIPT_COUNT; i++) {
        if (argc < 2 || strncmp(t_scripts[i].name, argv[1], strlen(argv[1])) == 0) {
            tests[count].name = t_scripts[i].name;
            tests[count].test_func = run_one;
            tests[count].initial_state = (void *)(uintptr_t)&t_scripts[i];
            count++;
        }
    }
    return _cmocka_run_group_tests("transcripts", tests, count, NULL, NULL);
}
