/* dropped_ctors.c: registers nothing: nobody refers to its static pointer, so gcc drops it from -O1 on, section or not.
 * It loads well and offers nothing, which must be said. With -DKEPT the pointer stays (ctors_array.c is the usual form).
 */
#include "lcr_comp.h"

#ifdef KEPT
#define MARK __attribute__((used, section(".ctors")))
#else
#define MARK __attribute__((section(".ctors")))
#endif

static int call(int number) { return number; }

static struct {
	int (*call)(int number);
} functions = {call};

static struct lcr_iface ifaces[] = {{.name = "dropped", .version = 1}};
static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

static void register_dropped(void)
{
	lcr_interfaces_set(&ifaces[0], &functions);
	lcr_component_register(&comp);
}

/* As it was written: static, and used by nobody. gcc says that with -Wunused-variable. */
static void (*registers)(void) MARK = register_dropped;
