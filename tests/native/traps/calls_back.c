/* calls_back.c: references "greeter" 1 itself: in its constructor, with its own context and for as long as it lives, and in
 * its functions anew. Without a greeter its constructor fails.
 */
#include "lcr_comp.h"
#include "lcr_ifact.h"

struct greeter {
	int (*greet)(int number);
	int (*greeted)(void);
};

static hdb_handle_t held;
static struct greeter *greeter;

static int construct(void *context)
{
	void *found;

	if (lcr_ifact_reference(&held, "greeter", 1, &found, context))
		return -1;
	greeter = found;
	return 0;
}

static void destruct(void *context)
{
	(void)context;
	lcr_ifact_release(held);
}

/* Calls what the constructor referenced. */
static int call(int number) { return greeter->greet(number); }

/* References for this one call, with the context 1000. */
static int call_anew(int number)
{
	hdb_handle_t handle;
	void *found;
	int result;

	if (lcr_ifact_reference(&handle, "greeter", 1, &found, (void *)1000))
		return -1;
	result = ((struct greeter *)found)->greet(number);
	return lcr_ifact_release(handle) ? -2 : result;
}

/* References what is not there, and returns what it gets: anything but 0. */
static int call_nobody(void)
{
	hdb_handle_t handle;
	void *found;

	return lcr_ifact_reference(&handle, "greeter", 99, &found, 0);
}

/* Releases twice, and returns what the second gets: anything but 0. */
static int release_twice(void)
{
	hdb_handle_t handle;
	void *found;

	if (lcr_ifact_reference(&handle, "greeter", 1, &found, 0))
		return 0;
	lcr_ifact_release(handle);
	return lcr_ifact_release(handle);
}

static struct {
	int (*call)(int number);
	int (*call_anew)(int number);
	int (*call_nobody)(void);
	int (*release_twice)(void);
} functions = {call, call_anew, call_nobody, release_twice};

static struct lcr_iface ifaces[] = {
	{.name = "caller", .version = 1, .constructor = construct, .destructor = destruct},
};

static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

__attribute__((constructor)) static void register_caller(void)
{
	lcr_interfaces_set(&ifaces[0], &functions);
	lcr_component_register(&comp);
}
