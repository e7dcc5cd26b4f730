/* SPDX-License-Identifier: Apache-2.0
 *
 * src/cli/pace.c: --max-rate, by a clock of its own.
 */
#include "cli/pace.h"
#include "kbtest.h"

#define SECOND UINT64_C(1000000000)

struct clock {
    uint64_t now;
    uint64_t slept;
    unsigned sleeps;
};

static uint64_t clock_now(void *ctx)
{
    return ((struct clock *)ctx)->now;
}

static void clock_sleep(void *ctx, uint64_t ns)
{
    struct clock *clock = ctx;

    clock->now += ns;
    clock->slept += ns;
    clock->sleeps++;
}

static struct cli_pace pace_of(struct clock *clock, uint64_t per_second)
{
    return (struct cli_pace){
        .per_second = per_second, .now = clock_now, .sleep = clock_sleep, .ctx = clock};
}

static void test_no_limit(void)
{
    struct clock clock = {.now = SECOND};
    struct cli_pace pace = pace_of(&clock, 0);

    CU_ASSERT_EQUAL(cli_pace_step(&pace, 1000000), 1000000);
    for (int i = 0; i < 100; i++)
        cli_pace_wait(&pace, 1000000);
    CU_ASSERT_EQUAL(clock.sleeps, 0);
}

static void test_step(void)
{
    struct clock clock = {0};
    struct cli_pace fast = pace_of(&clock, 1000), slow = pace_of(&clock, 3);

    CU_ASSERT_EQUAL(cli_pace_step(&fast, 5000), 100);
    CU_ASSERT_EQUAL(cli_pace_step(&fast, 100), 100);
    CU_ASSERT_EQUAL(cli_pace_step(&fast, 7), 7);
    CU_ASSERT_EQUAL(cli_pace_step(&slow, 25), 1);
}

static void test_rate_is_kept(void)
{
    struct clock clock = {.now = 5 * SECOND};
    struct cli_pace pace = pace_of(&clock, 1000);

    for (int i = 0; i < 51; i++)
        cli_pace_wait(&pace, 100);
    /* The first goes at once. */
    CU_ASSERT_EQUAL(clock.now, 10 * SECOND);
    CU_ASSERT_EQUAL(clock.sleeps, 50);
}

static void test_work_counts(void)
{
    struct clock clock = {.now = SECOND};
    struct cli_pace pace = pace_of(&clock, 10);

    cli_pace_wait(&pace, 1);
    clock.now += SECOND / 20;
    cli_pace_wait(&pace, 1);
    CU_ASSERT_EQUAL(clock.slept, SECOND / 20);
    CU_ASSERT_EQUAL(clock.now, SECOND + SECOND / 10);
}

static void test_nothing_is_saved_up(void)
{
    struct clock clock = {.now = SECOND};
    struct cli_pace pace = pace_of(&clock, 10);

    cli_pace_wait(&pace, 1);
    clock.now += 60 * SECOND;
    cli_pace_wait(&pace, 1);
    CU_ASSERT_EQUAL(clock.sleeps, 0);
    for (int i = 0; i < 10; i++)
        cli_pace_wait(&pace, 1);
    CU_ASSERT_EQUAL(clock.slept, SECOND);
}

static void test_large_counts(void)
{
    struct clock clock = {.now = 1};
    struct cli_pace pace = pace_of(&clock, UINT64_C(1000000000000));

    /* Nothing that wraps: a billion items of a step are a millisecond. */
    cli_pace_wait(&pace, 1000000000);
    cli_pace_wait(&pace, 1);
    CU_ASSERT_EQUAL(clock.slept, SECOND / 1000);
}

int main(int argc, char **argv)
{
    static const struct kbtest tests[] = {
        {"no limit", test_no_limit},
        {"a step is a tenth of a second's", test_step},
        {"the rate is kept", test_rate_is_kept},
        {"the time of the work counts", test_work_counts},
        {"nothing is saved up", test_nothing_is_saved_up},
        {"large counts", test_large_counts},
        {NULL, NULL},
    };

    return kbtest_main("pace", tests, argc, argv);
}
