/* dependencies.c: "dependent" 3 depends on "greeter", and may stand in for the versions 1 and 2. The original read neither.
 * With -DTRAP_VERSION=1 it is version 1, which depends on nothing and replaces nothing; call() tells which.
 */
#include "lcr_comp.h"

#ifndef TRAP_VERSION
#define TRAP_VERSION 3
#endif

static int call(int number) { return 1000 * TRAP_VERSION + number; }

static struct {
	int (*call)(int number);
} functions = {call};

#if TRAP_VERSION == 3
static int replaced[] = {1, 2};
static char *dependencies[] = {"greeter"};
#define REPLACES .versions_replace = replaced, .versions_replace_count = 2,
#define DEPENDS .dependencies = dependencies, .dependency_count = 1,
#else
#define REPLACES
#define DEPENDS
#endif

static struct lcr_iface ifaces[] = {{.name = "dependent", .version = TRAP_VERSION, REPLACES DEPENDS}};
static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

__attribute__((constructor)) static void register_dependent(void)
{
	lcr_interfaces_set(&ifaces[0], &functions);
	lcr_component_register(&comp);
}
