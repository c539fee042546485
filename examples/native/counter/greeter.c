/* greeter.c: greets, and counts whom with the interface "counter", whichever version of that serves, in whatever language.
 *
 * Its functions for that stay valid while the counter is replaced: a call from here waits like a call from Python.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcr_component.h"

struct greeter {
	const struct lcr_services *services;
	uint64_t counter; /* the handle */
	long (*add)(int key);
	long (*total)(void);
};

/* Greets; tells how many were greeted whose name is as long. */
static const char *greet(void *self, const char *name)
{
	static _Thread_local char written[256];
	const struct greeter *greeter = self;
	const int length = name ? (int)strlen(name) : 0;
	const long number = greeter->add(length);

	snprintf(written, sizeof written, "Hello %s, you are number %ld of length %d", length ? name : "nobody", number, length);
	return written;
}

/* Tells how many were greeted. */
static long greeted(void *self)
{
	const struct greeter *greeter = self;

	return greeter->total();
}

static int construct(const struct lcr_services *services, const void *context, size_t context_size, void **self)
{
	static const char *const wanted[] = {"long add(int)", "long total(void)"};
	struct greeter *greeter = malloc(sizeof *greeter);
	void (*functions[2])(void);

	(void)context, (void)context_size;
	if (!greeter)
		return -1;
	greeter->services = services;
	if (services->reference(services->host, "counter", ">=1", LCR_ARRAY(wanted), functions, &greeter->counter)) {
		free(greeter); /* lcr has logged why */
		return -1;
	}
	greeter->add = (long (*)(int))functions[0];
	greeter->total = (long (*)(void))functions[1];
	*self = greeter;
	return 0;
}

static void destruct(void *self)
{
	struct greeter *greeter = self;

	greeter->services->release(greeter->services->host, greeter->counter);
	free(greeter);
}

static const struct lcr_function functions[] = {
	LCR_FUNCTION("greet", "const char *(const char *name)", greet),
	LCR_FUNCTION("greeted", "long(void)", greeted),
};

/* So that lcr knows it beforehand: the counter is there before the constructor runs, and a plan can tell what would break. */
static const struct lcr_requirement requirements[] = {{"counter", ">=1"}};

static const struct lcr_interface greeter_interface = {
	.size = sizeof greeter_interface,
	.name = "greeter",
	.version = "1.0",
	.functions = LCR_ARRAY(functions),
	.requirements = LCR_ARRAY(requirements),
	.constructor = construct,
	.destructor = destruct,
};

static const struct lcr_interface *const interfaces[] = {&greeter_interface};

const struct lcr_component lcr_component = {
	.size = sizeof lcr_component,
	.abi = LCR_ABI,
	.about = "greets, and has a counter count whom",
	.interfaces = LCR_ARRAY(interfaces),
};
