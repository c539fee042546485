/* original.c: the same functions in a component of the original's kind; with -DPLAIN it is a library like any other. */
#include "lcr_comp.h"

int two(int a, int b) { return a + b; }
void none(void) {}
const char *text(const char *given) { return given; }

struct table {
	int (*two)(int a, int b);
	void (*none)(void);
	const char *(*text)(const char *given);
};
struct table table = {two, none, text};

#ifndef PLAIN
static struct lcr_iface ifaces[] = {{.name = "original", .version = 0}};
static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

__attribute__((constructor)) static void register_original(void)
{
	lcr_interfaces_set(&ifaces[0], &table);
	lcr_component_register(&comp);
}
#endif
