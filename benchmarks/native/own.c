/* own.c: three functions that do nothing, in a component for lcr_component.h; exported besides, for cffi and ctypes. */
#include <stdlib.h>

#include "lcr_component.h"

#ifndef VERSION
#define VERSION "1.0"
#endif

LCR_EXPORT int two(void *self, int a, int b)
{
	(void)self;
#ifdef FAULT /* for native_replace.py --fault */
	volatile char *too_small = malloc(1);
	too_small[a] = 0;
	free((void *)too_small);
#endif
	return a + b;
}

LCR_EXPORT void none(void *self) { (void)self; }

LCR_EXPORT const char *text(void *self, const char *given)
{
	(void)self;
	return given;
}

struct table {
	int (*two)(void *self, int a, int b);
	void (*none)(void *self);
	const char *(*text)(void *self, const char *given);
};
LCR_EXPORT const struct table table = {two, none, text};

static int construct(const struct lcr_services *services, const void *context, size_t context_size, void **self)
{
	(void)services, (void)context, (void)context_size;
	*self = (void *)&table;
	return 0;
}

static const struct lcr_function functions[] = {
	LCR_FUNCTION("two", "int(int a, int b)", two),
	LCR_FUNCTION("none", "void(void)", none),
	LCR_FUNCTION("text", "const char *(const char *given)", text),
};

static const struct lcr_interface own = {
	.size = sizeof own,
	.name = "own",
	.version = VERSION,
	.replaces = ">=1",
	.functions = LCR_ARRAY(functions),
	.constructor = construct,
};

static const struct lcr_interface *const interfaces[] = {&own};

const struct lcr_component lcr_component = {
	.size = sizeof lcr_component,
	.abi = LCR_ABI,
	.about = "does nothing, three times",
	.interfaces = LCR_ARRAY(interfaces),
};
