/* caller.c: calls another interface, which its context names, so many times in a row; and, exported, any function. */
#include <stdlib.h>

#include "lcr_component.h"

struct caller {
	const struct lcr_services *services;
	uint64_t handle;
	int (*two)(int, int);
	void (*none)(void);
	const char *(*text)(const char *);
};

LCR_EXPORT void call_two(int (*two)(int, int), int times)
{
	while (times--)
		two(1, 2);
}

LCR_EXPORT void call_none(void (*none)(void), int times)
{
	while (times--)
		none();
}

LCR_EXPORT void call_text(const char *(*text)(const char *), int times)
{
	while (times--)
		text("abc");
}

static void two(struct caller *caller, int times) { call_two(caller->two, times); }
static void none(struct caller *caller, int times) { call_none(caller->none, times); }
static void text(struct caller *caller, int times) { call_text(caller->text, times); }

static int construct(const struct lcr_services *services, const void *context, size_t context_size, void **self)
{
	static const char *const wanted[] = {"int two(int, int)", "void none(void)", "const char *text(const char *)"};
	struct caller *caller = malloc(sizeof *caller);
	void (*functions[3])(void);

	(void)context_size;
	if (!caller)
		return -1;
	caller->services = services;
	if (services->reference(services->host, context, NULL, LCR_ARRAY(wanted), functions, &caller->handle)) {
		free(caller);
		return -1;
	}
	caller->two = (int (*)(int, int))functions[0];
	caller->none = functions[1];
	caller->text = (const char *(*)(const char *))functions[2];
	*self = caller;
	return 0;
}

static void destruct(void *self)
{
	struct caller *caller = self;

	caller->services->release(caller->services->host, caller->handle);
	free(caller);
}

static const struct lcr_function functions[] = {
	LCR_FUNCTION("two", "void(int times)", two),
	LCR_FUNCTION("none", "void(int times)", none),
	LCR_FUNCTION("text", "void(int times)", text),
};

static const struct lcr_interface interface = {
	.size = sizeof interface,
	.flags = LCR_PER_REFERENCE,
	.name = "caller",
	.version = "1.0",
	.functions = LCR_ARRAY(functions),
	.constructor = construct,
	.destructor = destruct,
};

static const struct lcr_interface *const interfaces[] = {&interface};

const struct lcr_component lcr_component = {
	.size = sizeof lcr_component,
	.abi = LCR_ABI,
	.about = "calls",
	.interfaces = LCR_ARRAY(interfaces),
};
