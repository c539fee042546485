/* ticker.c: counts in its caller's memory, as it has none of its own to take along, and tells which version did it. */
#include <stdint.h>

#include "lcr_comp.h"

#ifndef VERSION
#define VERSION 1
#endif

static int64_t tick(int64_t *count) { return ++*count * 4 + VERSION; }

struct table {
	int64_t (*tick)(int64_t *count);
};
static struct table table = {tick};

static int others[] = {3 - VERSION};
static struct lcr_iface ifaces[] = {
	{.name = "ticker", .version = VERSION, .versions_replace = others, .versions_replace_count = 1},
};
static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

__attribute__((constructor)) static void register_ticker(void)
{
	lcr_interfaces_set(&ifaces[0], &table);
	lcr_component_register(&comp);
}
