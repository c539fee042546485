/* old_counts.c: is built for the header from before 2009, whose counts are ints: beside them is whatever was there.
 * Counts must be read as 32 bits. It does without lcr_comp.h, which has them as size_t.
 */
struct old_iface {
	const char *name;
	int version;
	int *versions_replace;
	int versions_replace_count;
	int garbage_1;
	char **dependencies;
	int dependency_count;
	int garbage_2;
	int (*constructor)(void *context);
	void (*destructor)(void *context);
	void **interfaces;
};

struct old_comp {
	struct old_iface *ifaces;
	int iface_count;
	int garbage;
};

_Static_assert(sizeof(struct old_iface) == 72 && sizeof(struct old_comp) == 16, "it has the same layout");

int lcr_component_register(struct old_comp *comp);
void lcr_interfaces_set(struct old_iface *iface, void *functions); /* the old one was no inline function */

static int call(int number) { return number; }

static struct {
	int (*call)(int number);
} functions = {call};

static int replaced[] = {1, 2};

static struct old_iface ifaces[] = {
	{.name = "old", .version = 1, .garbage_1 = -1, .garbage_2 = 0x5a5a5a5a},
	{.name = "old", .version = 3, .versions_replace = replaced, .versions_replace_count = 2, .garbage_1 = 7, .garbage_2 = -2},
};

static struct old_comp comp = {.ifaces = ifaces, .iface_count = 2, .garbage = 0x7fffffff};

__attribute__((constructor)) static void register_old(void)
{
	lcr_interfaces_set(&ifaces[0], &functions);
	lcr_interfaces_set(&ifaces[1], &functions);
	lcr_component_register(&comp);
}
