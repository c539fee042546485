/* ctors_array.c: registers by an array in the section .ctors, as older sources do. GNU ld and gold make it part of
 * .init_array, which the loader runs; lld, mold, or GNU ld with ctors.ld leave it alone, and nothing runs it.
 */
#include "lcr_comp.h"

static int call(int number) { return number; }

static struct {
	int (*call)(int number);
} functions = {call};

static struct lcr_iface ifaces[] = {
	{.name = "ctors", .version = 1},
	{.name = "ctors", .version = 2},
};

static struct lcr_comp comp_1 = {.ifaces = &ifaces[0], .iface_count = 1};
static struct lcr_comp comp_2 = {.ifaces = &ifaces[1], .iface_count = 1};

static void register_1(void)
{
	lcr_interfaces_set(&ifaces[0], &functions);
	lcr_component_register(&comp_1);
}

static void register_2(void)
{
	lcr_interfaces_set(&ifaces[1], &functions);
	lcr_component_register(&comp_2);
}

/* It is run from the last to the first, so version 1 registers before version 2; gold alone keeps the order. Aligned like a
 * pointer, without which gcc leaves a gap before an array of two, and the loader calls what is in the gap.
 */
__attribute__((used, section(".ctors"), aligned(sizeof(void *)))) static void (*registers[])(void) = {register_2, register_1};
