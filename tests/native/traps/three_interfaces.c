/* three_interfaces.c: two components in one library, with three interfaces: "one" 1 and "two" 1 in the first, "three" 1 in
 * the second. The function number() of each returns 1, 2 and 3.
 */
#include "lcr_comp.h"

static int number_1(void) { return 1; }
static int number_2(void) { return 2; }
static int number_3(void) { return 3; }

static struct {
	int (*number)(void);
} one = {number_1}, two = {number_2}, three = {number_3};

static struct lcr_iface ifaces_1[] = {{.name = "one", .version = 1}, {.name = "two", .version = 1}};
static struct lcr_iface ifaces_2[] = {{.name = "three", .version = 1}};
static struct lcr_comp comp_1 = {.ifaces = ifaces_1, .iface_count = 2};
static struct lcr_comp comp_2 = {.ifaces = ifaces_2, .iface_count = 1};

__attribute__((constructor)) static void register_both(void)
{
	lcr_interfaces_set(&ifaces_1[0], &one);
	lcr_interfaces_set(&ifaces_1[1], &two);
	lcr_interfaces_set(&ifaces_2[0], &three);
	lcr_component_register(&comp_1);
	lcr_component_register(&comp_2);
}
